//! A follower whose events are skipped, doubled and swapped on their way.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, Lane};
use foldline_schema::Event;

use super::{EventFault, Faults};
use crate::{FollowError, Follower, Heads};

pub(super) struct FaultyFollower {
    lane: Lane,
    inner: Box<dyn Follower>,
    faults: Faults,
    /// Waits for the event that it changes places with.
    held: Option<Arc<Event>>,
}

impl FaultyFollower {
    pub(super) fn new(lane: Lane, inner: Box<dyn Follower>, faults: Faults) -> Self {
        Self {
            lane,
            inner,
            faults,
            held: None,
        }
    }

    fn corrupt(&mut self, events: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
        let mut corrupted = Vec::with_capacity(events.len() + 1);
        for event in events {
            let held = self.held.take();
            match self.faults.of_event(self.lane, event.lane_sequence) {
                Some(EventFault::SwapWithNext) if held.is_none() => {
                    self.held = Some(event);
                    continue;
                }
                Some(EventFault::Skip) => {}
                Some(EventFault::Double) => corrupted.extend([Arc::clone(&event), event]),
                _ => corrupted.push(event),
            }
            corrupted.extend(held);
        }
        corrupted
    }
}

#[async_trait]
impl Follower for FaultyFollower {
    async fn next_batch(&mut self, limit: usize) -> Result<Vec<Arc<Event>>, FollowError> {
        loop {
            // The only await, before anything changes: dropped here, nothing is lost.
            let events = self.inner.next_batch(limit).await?;
            let corrupted = self.corrupt(events);
            if !corrupted.is_empty() {
                return Ok(corrupted);
            }
        }
    }

    fn checkpoint(&self) -> &Checkpoint {
        self.inner.checkpoint()
    }

    fn heads(&self) -> Heads {
        self.inner.heads()
    }
}
