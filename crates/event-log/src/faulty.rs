//! A log that fails on command: it wraps any adapter, for tests.
//!
//! ```text
//!   caller ── Faulty ── the log itself
//!               │
//!            Faults: what goes wrong next, on which lane
//! ```
//!
//! What it injects is what real logs do: an answer that is lost, a writer that is replaced, a log
//! that is slow or full. Its faults on events come after the inner follower's own checks, as if
//! the reader's input were corrupted on the way.

mod faults;
mod follower;
mod gate;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Context, Lane, Topology};

pub use self::{
    faults::{AppendFault, EventFault, Faults, Odds, OpenFault},
    gate::Gate,
};
use self::{follower::FaultyFollower, writer::FaultyWriter};
use crate::{
    Announcement, EventLog, FollowError, Follower, From, Heads, LaneWriter, OpenWriterError,
};

/// A log around another one, with faults.
pub struct Faulty {
    inner: Arc<dyn EventLog>,
    faults: Faults,
}

impl Faulty {
    /// Wraps a log; without planned faults it behaves as the log itself.
    pub fn new(inner: Arc<dyn EventLog>) -> (Self, Faults) {
        let faults = Faults::default();
        let log = Self {
            inner,
            faults: faults.clone(),
        };
        (log, faults)
    }

    fn follower(&self, lane: Lane, inner: Box<dyn Follower>) -> Box<dyn Follower> {
        Box::new(FaultyFollower::new(lane, inner, self.faults.clone()))
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty")
            .field("topology", self.inner.topology())
            .field("faults", &self.faults)
            .finish()
    }
}

#[async_trait]
impl EventLog for Faulty {
    fn topology(&self) -> &Topology {
        self.inner.topology()
    }

    async fn open_writer(
        &self,
        lane: Lane,
        announcement: Announcement,
    ) -> Result<Box<dyn LaneWriter>, OpenWriterError> {
        match self.faults.next_open(lane) {
            None => {}
            Some(OpenFault::Held(gate)) => gate.pass().await,
            Some(OpenFault::Unavailable) => {
                let source = "an injected fault".into();
                return Err(OpenWriterError::Unavailable { lane, source });
            }
        }
        let inner = self.inner.open_writer(lane, announcement).await?;
        Ok(Box::new(FaultyWriter::new(inner, self.faults.clone())))
    }

    async fn follow(
        &self,
        context: &Context,
        partition: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError> {
        let inner = self.inner.follow(context, partition, from).await?;
        Ok(self.follower(partition, inner))
    }

    async fn follow_lane(&self, lane: Lane, from: From) -> Result<Box<dyn Follower>, FollowError> {
        let inner = self.inner.follow_lane(lane, from).await?;
        Ok(self.follower(lane, inner))
    }

    async fn heads(&self, lane: Lane) -> Result<Heads, FollowError> {
        self.inner.heads(lane).await
    }
}
