//! A lane as its node sees it from outside: the way to its task, and what it is doing.

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::lane::Submitted;

/// What a lane is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneHealth {
    /// It is being taken over; the text says what holds it up, if anything.
    Opening(String),
    /// It takes commands.
    Serving,
    /// It takes none until somebody has looked; the text says why.
    Closed(String),
    /// The node has stopped.
    Stopped,
    /// Another node owns it.
    Elsewhere,
}

/// A lane that this node owns.
pub(crate) struct LaneHandle {
    pub(crate) queue: mpsc::Sender<Submitted>,
    pub(crate) health: watch::Receiver<LaneHealth>,
    /// Ends this lane alone.
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl LaneHandle {
    pub(crate) fn health(&self) -> LaneHealth {
        let health = self.health.borrow().clone();
        let gone = self.health.has_changed().is_err();
        match health {
            // A task that ends says so last; this one did not come to that.
            LaneHealth::Opening(_) | LaneHealth::Serving if gone => {
                LaneHealth::Closed("its task has failed; start the node again".to_owned())
            }
            health => health,
        }
    }
}
