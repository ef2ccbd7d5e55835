//! The bounds of the server.

use std::{num::NonZeroU32, time::Duration};

use anyhow::Context as _;
use foldline_http::{Bounds, Rates, WINDOW_MAX};
use serde::{Deserialize, Serialize};

/// The server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// The most connections at a time; further ones wait.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, and how long an idle connection
    /// is kept.
    pub header_timeout_ms: u64,
    /// How long a client may take none of an answer before its connection is closed.
    pub write_timeout_ms: u64,
    /// How many commands of one user are taken per second; any number unless it is said.
    pub user_commands_per_second: Option<NonZeroU32>,
    /// How many of them at once; as many as per second unless it is said.
    pub user_commands_burst: Option<NonZeroU32>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        let bounds = Bounds::default();
        let millis = |bound: Duration| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Self {
            connections_max: bounds.connections_max,
            header_timeout_ms: millis(bounds.header_timeout),
            write_timeout_ms: millis(bounds.write_timeout),
            user_commands_per_second: None,
            user_commands_burst: None,
        }
    }
}

impl HttpSettings {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            connections_max: self.connections_max.max(1),
            header_timeout: Duration::from_millis(self.header_timeout_ms),
            write_timeout: Duration::from_millis(self.write_timeout_ms),
        }
    }

    /// The bound of each user's commands, if there is one.
    ///
    /// # Errors
    /// When a burst would be remembered for too long.
    pub(crate) fn rates(&self) -> anyhow::Result<Option<Rates>> {
        let Some(per_second) = self.user_commands_per_second else {
            return Ok(None);
        };
        let burst = self.user_commands_burst.unwrap_or(per_second);
        let rates = Rates::new(per_second, burst).with_context(|| {
            format!(
                "`http.user_commands_burst` is {burst}: at {per_second} commands per second that \
                 is more than {WINDOW_MAX:?} have room for"
            )
        })?;
        Ok(Some(rates))
    }
}
