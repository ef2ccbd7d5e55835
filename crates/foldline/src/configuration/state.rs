//! What a node is told of users' states: how much memory they take, and where the rest is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Configuration;

/// The states that decisions are made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateSettings {
    /// What all of a node's states in memory may come to together, in bytes; who has not been
    /// asked for lately is in the local store.
    pub memory_bytes_max: usize,
    /// The directory of the local store, which may be deleted while nothing runs; `state` in the
    /// data directory unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// How many events a lane appends before the local store is brought up to date.
    pub round_events: usize,
}

impl Default for StateSettings {
    fn default() -> Self {
        let settings = foldline_command::StateSettings::default();
        Self {
            memory_bytes_max: settings.bytes_max,
            directory: None,
            round_events: settings.round_events,
        }
    }
}

impl Configuration {
    /// Returns what the command side is told, its states included.
    pub(crate) fn command_side(&self) -> foldline_command::Settings {
        let directory = self.state.directory.clone();
        foldline_command::Settings {
            state: foldline_command::StateSettings {
                directory: Some(directory.unwrap_or_else(|| self.data.join("state"))),
                bytes_max: self.state.memory_bytes_max,
                round_events: self.state.round_events.max(1),
            },
            ..self.command.settings()
        }
    }
}
