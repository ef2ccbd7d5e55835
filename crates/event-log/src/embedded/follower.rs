//! A reader of committed events: from memory at the tail, from the store behind it.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, Lane, LaneSequence};
use foldline_schema::Event;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    reader::{self, CHUNK_EVENTS_MAX, Chunk, Scan, Stop},
    shared::Shared,
    tail::{Placed, Read},
};
use crate::{Corruption, FollowError, Follower, Heads, Place, continuity::Continuity};

pub(crate) struct EmbeddedFollower {
    shared: Arc<Shared>,
    lane: Lane,
    only: Option<usize>,
    continuity: Continuity,
    checkpoint: Checkpoint,
    /// How far the lane has been looked through, which is ahead of what was yielded.
    scanned: LaneSequence,
    /// Checked, not yet yielded.
    ready: VecDeque<Arc<Event>>,
    /// What comes after `ready`, and stays.
    broken: Option<(Place, Corruption)>,
    reached: watch::Receiver<LaneSequence>,
    /// The next chunk of the store; kept here so that a dropped `next_batch` loses nothing.
    reading: Option<JoinHandle<Chunk>>,
}

/// The place where a follower starts, checked against the log.
pub(crate) struct Start {
    pub(crate) lane: Lane,
    pub(crate) only: Option<usize>,
    pub(crate) continuity: Continuity,
    pub(crate) checkpoint: Checkpoint,
}

impl EmbeddedFollower {
    pub(crate) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let Start {
            lane,
            only,
            continuity,
            checkpoint,
        } = start;
        Self {
            reached: shared.tail(lane).watch(),
            shared,
            lane,
            only,
            continuity,
            scanned: checkpoint.lane_sequence,
            checkpoint,
            ready: VecDeque::new(),
            broken: None,
            reading: None,
        }
    }

    /// Gets some more of the lane into `ready`, waiting for it where there is none. Every await
    /// leaves the follower whole: what arrived is taken after it.
    async fn fetch(&mut self) -> Result<(), FollowError> {
        if let Some(reading) = &mut self.reading {
            let chunk = reading.await;
            self.reading = None;
            return match chunk {
                Ok(chunk) => self.take(chunk),
                Err(ended) => Err(Stop::Unavailable(ended.into()).error(self.lane)),
            };
        }
        // Marked as seen before the tail is read, so a move in between wakes.
        self.reached.mark_unchanged();
        let tail = self.shared.tail(self.lane);
        match tail.read(self.scanned, self.only, CHUNK_EVENTS_MAX) {
            Read::Nothing => {
                // The sender lives in `shared`, which this holds.
                self.reached
                    .changed()
                    .await
                    .expect("the tail lives as long as its followers");
            }
            Read::Behind(end) => self.read_store(end),
            Read::Events {
                events,
                scanned,
                end,
            } => self.admit(events, scanned, end),
        }
        Ok(())
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), FollowError> {
        self.admit(chunk.events, chunk.scanned, chunk.end);
        match chunk.stopped {
            Some(Stop::Corrupt(place, corruption)) => self.stop(place, corruption),
            Some(stop) if self.ready.is_empty() => return Err(stop.error(self.lane)),
            // What was read so far is yielded; the next read meets the trouble again.
            Some(_) => {}
            None if self.broken.is_none() => {
                // The next chunk is decoded while this one is being used.
                let tail = self.shared.tail(self.lane);
                if let Read::Behind(end) = tail.read(self.scanned, self.only, 0) {
                    self.read_store(end);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Checks events and makes them ready, up to the first that does not follow.
    fn admit(&mut self, events: Vec<Placed>, scanned: LaneSequence, end: Option<Heads>) {
        for (context, event) in events {
            if let Err(corruption) = self.continuity.admit(context, &event) {
                self.stop(Place::of(self.lane, &event), corruption);
                return;
            }
            self.ready.push_back(event);
        }
        self.scanned = scanned;
        if let Some(Err(corruption)) = end.map(|heads| self.continuity.at_end(&heads)) {
            self.stop(Place::LaneSequence(scanned), corruption);
        }
    }

    /// Yields what lies before the corruption and nothing after; a torn command's first parts,
    /// where they are still here, are no good either.
    fn stop(&mut self, place: Place, corruption: Corruption) {
        if let Corruption::TornCommand { command_id, .. } = &corruption {
            let is_torn = |event: &Arc<Event>| event.command_id.as_str() == command_id;
            while self.ready.back().is_some_and(is_torn) {
                self.ready.pop_back();
            }
        }
        self.broken.get_or_insert((place, corruption));
    }

    /// Has the next chunk read beside the workers, when it is its turn.
    fn read_store(&mut self, end: Heads) {
        let shared = Arc::clone(&self.shared);
        let after = self.scanned;
        let scan = Scan {
            lane: self.lane,
            only: self.only,
            after,
            end,
        };
        self.reading = Some(tokio::spawn(async move {
            let turns = Arc::clone(&shared.readers);
            let _turn = turns.acquire().await.expect("it is never closed");
            tokio::task::spawn_blocking(move || reader::read(&shared, scan))
                .await
                .unwrap_or_else(|ended| Chunk::failed(after, ended.into()))
        }));
    }

    fn yield_ready(&mut self, limit: usize) -> Vec<Arc<Event>> {
        let events: Vec<_> = if self.ready.len() <= limit {
            std::mem::take(&mut self.ready).into()
        } else {
            self.ready.drain(..limit).collect()
        };
        for event in &events {
            self.checkpoint
                .advance(&event.context, event.sequence, event.lane_sequence);
        }
        events
    }
}

impl Drop for EmbeddedFollower {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

#[async_trait]
impl Follower for EmbeddedFollower {
    async fn next_batch(&mut self, limit: usize) -> Result<Vec<Arc<Event>>, FollowError> {
        loop {
            if !self.ready.is_empty() {
                return Ok(self.yield_ready(limit.max(1)));
            }
            if let Some((place, corruption)) = &self.broken {
                return Err(FollowError::Corrupt {
                    lane: self.lane,
                    place: place.clone(),
                    corruption: corruption.clone(),
                });
            }
            self.fetch().await?;
        }
    }

    fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn heads(&self) -> Heads {
        self.shared.tail(self.lane).heads()
    }
}
