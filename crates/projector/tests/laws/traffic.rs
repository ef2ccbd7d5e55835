//! Things that go on happening while something else is done.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    log::MemoryLog,
    world::{paid, rung, user},
};

/// How many users buy and pay; others are left alone.
pub(crate) const BUYERS: u128 = 9;

/// Appends, at a pace that every projector keeps up with, until it is dropped.
pub(crate) struct Traffic(JoinHandle<()>);

impl Traffic {
    pub(crate) fn on(log: &Arc<MemoryLog>) -> Self {
        let log = log.clone();
        Self(tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(1));
            for buyer in (0..BUYERS).map(user).cycle() {
                log.append(&[paid(buyer, 1), rung(buyer, &[("a", 1)])]);
                beat.tick().await;
            }
        }))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.abort();
    }
}
