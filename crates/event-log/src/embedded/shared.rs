//! What the parts of an open log share.

use std::sync::{Arc, OnceLock};

use foldline_kernel::{Context, Lane, Topology};
use tokio::sync::Semaphore;

use super::{directory::Directory, store::Store, tail::Tail};
use crate::Source;

/// How many followers read and decode from the store at once; the others wait their turn.
const STORE_READERS_MAX: usize = 4;

/// An open log: closed when the last of its handles, writers and followers is gone.
pub(crate) struct Shared {
    pub(crate) topology: Topology,
    pub(crate) tails: Vec<Tail>,
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) store: Store,
    closed: OnceLock<Closed>,
    /// Last, so that the lock outlives the store.
    pub(crate) directory: Directory,
}

/// Why nothing is appended any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log is closed for writing: {0}; what was acknowledged is safe, start again")]
pub(crate) struct Closed(Arc<str>);

impl Shared {
    pub(crate) fn new(
        topology: Topology,
        tails: Vec<Tail>,
        store: Store,
        directory: Directory,
    ) -> Self {
        Self {
            topology,
            tails,
            readers: Arc::new(Semaphore::new(STORE_READERS_MAX)),
            store,
            closed: OnceLock::new(),
            directory,
        }
    }

    pub(crate) fn tail(&self, lane: Lane) -> &Tail {
        &self.tails[lane.index()]
    }

    /// Returns the index of a context in the log's list.
    pub(crate) fn context(&self, context: &Context) -> Result<usize, Source> {
        self.topology
            .index_of(context)
            .ok_or_else(|| format!("the log has no context `{context}`").into())
    }

    /// Returns why the log takes no appends any more, if so.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.closed.get()
    }

    /// Closes the log for writing; the first reason stands.
    pub(crate) fn close(&self, reason: &str) -> Closed {
        if self.closed.set(Closed(reason.into())).is_ok() {
            tracing::error!(reason, dir = %self.directory.path().display(), "the log is closed for writing");
        }
        self.closed.get().expect("it was set just above").clone()
    }
}
