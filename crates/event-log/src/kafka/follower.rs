//! A reader of committed events.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, Lane};
use foldline_schema::Event;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    cursor,
    ends::{self, LaneEnd},
    shared::Shared,
    start::Start,
    stream::{self, Chunk, Item, STALLED, Stop},
};
use crate::{Corruption, FollowError, Follower, Heads, Place, continuity::Continuity};

pub(crate) struct KafkaFollower {
    shared: Arc<Shared>,
    lane: Lane,
    only: Option<usize>,
    continuity: Continuity,
    checkpoint: Checkpoint,
    /// Per context the offset of the last event that was yielded.
    yielded: Vec<Option<i64>>,
    /// Per context where to go on reading, where it is followed.
    next_offsets: Vec<Option<i64>>,
    /// Checked, not yet yielded.
    ready: VecDeque<Item>,
    /// How many at the end of `ready` are of a command that is not all there yet.
    incomplete: usize,
    /// What comes after `ready`, and stays.
    broken: Option<(Place, Corruption)>,
    chunks: Option<mpsc::Receiver<Chunk>>,
    /// Finds the lane's end, where a command has begun and goes on no further.
    ending: Option<JoinHandle<Result<LaneEnd, FollowError>>>,
}

impl KafkaFollower {
    pub(crate) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let yielded = cursor::read(&shared.topology, start.checkpoint.cursor.as_deref());
        Self {
            shared,
            lane: start.lane,
            only: start.only,
            continuity: start.continuity,
            checkpoint: start.checkpoint,
            yielded,
            next_offsets: start.offsets,
            ready: VecDeque::new(),
            incomplete: 0,
            broken: None,
            chunks: None,
            ending: None,
        }
    }

    /// Gets some more of the lane into `ready`, waiting for it where there is none. Every await
    /// leaves the follower whole: what arrived is taken after it.
    async fn fetch(&mut self) -> Result<(), FollowError> {
        if let Some(ending) = &mut self.ending {
            let ended = ending.await;
            self.ending = None;
            let end = ended.unwrap_or_else(|gone| Err(Shared::unavailable(self.lane, gone)))?;
            self.check_end(&end.heads);
            return Ok(());
        }
        let lane = self.lane;
        let chunks = match &mut self.chunks {
            Some(chunks) => chunks,
            None => {
                let stream = self.stream();
                let chunks = stream::start(Arc::clone(&self.shared), stream)
                    .map_err(|source| Shared::unavailable(lane, source))?;
                self.chunks.insert(chunks)
            }
        };
        let chunk = if self.continuity.is_within_command() {
            match timeout(STALLED, chunks.recv()).await {
                Ok(chunk) => chunk,
                Err(_) => {
                    let shared = Arc::clone(&self.shared);
                    let find = move || ends::find(&shared, lane);
                    self.ending = Some(tokio::task::spawn_blocking(find));
                    return Ok(());
                }
            }
        } else {
            chunks.recv().await
        };
        match chunk {
            Some(chunk) => self.take(chunk),
            None => {
                self.chunks = None;
                Err(Shared::unavailable(lane, "the reading thread has ended"))
            }
        }
    }

    fn stream(&self) -> stream::From {
        let followed = self.next_offsets.iter().enumerate();
        stream::From {
            lane: self.lane,
            offsets: followed
                .filter_map(|(context, offset)| Some((context, (*offset)?)))
                .collect(),
            whole: self.only.is_none(),
            after: self.continuity.lane_sequence(),
        }
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), FollowError> {
        for item in chunk.items {
            if let Err(corruption) = self.continuity.admit(item.context, &item.event) {
                self.stop(Place::of(self.lane, &item.event), corruption);
                return Ok(());
            }
            self.next_offsets[item.context] = Some(item.offset + 1);
            self.ready.push_back(item);
            self.incomplete = match self.continuity.is_within_command() {
                true => self.incomplete + 1,
                false => 0,
            };
        }
        match chunk.stopped {
            None => Ok(()),
            Some(Stop::Corrupt(place, corruption)) => {
                self.stop(place, corruption);
                Ok(())
            }
            Some(stop) => {
                // Reading begins again where it ended, when it is asked for again.
                self.chunks = None;
                Err(stop.error(self.lane))
            }
        }
    }

    /// A command of which a part is missing where the lane ends is torn: its parts are committed
    /// together.
    fn check_end(&mut self, end: &Heads) {
        self.shared.reached(self.lane, end);
        let is_end = |(context, last)| self.continuity.ends_at(context, last);
        let all = (0..).zip(end.sequences.iter().copied());
        let followed = all.filter(|(context, _)| self.only.is_none_or(|only| only == *context));
        if followed.into_iter().all(is_end)
            && let Err(corruption) = self.continuity.at_end(end)
        {
            self.stop(
                Place::LaneSequence(self.continuity.lane_sequence()),
                corruption,
            );
        }
    }

    /// Yields what lies before the corruption and nothing after; the first parts of a command
    /// that does not go on are no good either.
    fn stop(&mut self, place: Place, corruption: Corruption) {
        self.ready.truncate(self.ready.len() - self.incomplete);
        self.incomplete = 0;
        self.chunks = None;
        self.broken.get_or_insert((place, corruption));
    }

    fn yield_ready(&mut self, limit: usize) -> Vec<Arc<Event>> {
        let count = (self.ready.len() - self.incomplete).min(limit);
        let mut events = Vec::with_capacity(count);
        for item in self.ready.drain(..count) {
            self.yielded[item.context] = Some(item.offset);
            events.push(item.event);
        }
        for event in &events {
            self.checkpoint
                .advance(&event.context, event.sequence, event.lane_sequence);
        }
        self.checkpoint.cursor = cursor::write(&self.shared.topology, &self.yielded);
        events
    }
}

#[async_trait]
impl Follower for KafkaFollower {
    async fn next_batch(&mut self, limit: usize) -> Result<Vec<Arc<Event>>, FollowError> {
        loop {
            if self.ready.len() > self.incomplete {
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
        self.shared.known(self.lane).heads.clone()
    }
}
