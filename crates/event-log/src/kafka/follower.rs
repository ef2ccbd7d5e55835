//! A reader of committed events.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, Lane, LaneSequence};
use foldline_schema::Event;
use tokio::task::JoinHandle;

use super::{
    cursor,
    ends::{self, LaneEnd},
    shared::Shared,
    source::{At, Next, Source},
    start::Start,
    stream::{Begin, Item, STALLED, Stop},
};
use crate::{Corruption, FollowError, Follower, Heads, Place, continuity::Continuity};

pub(crate) struct KafkaFollower {
    shared: Arc<Shared>,
    lane: Lane,
    only: Option<usize>,
    source: Source,
    continuity: Continuity,
    at: At,
    checkpoint: Checkpoint,
    /// Per context the offset of the last event that was yielded.
    yielded: Vec<Option<i64>>,
    /// Checked, not yet yielded.
    ready: VecDeque<Item>,
    /// How many at the end of `ready` are of a command that is not all there yet.
    incomplete: usize,
    /// What comes after `ready`, and stays.
    broken: Option<(Place, Corruption)>,
    /// Finds the lane's end, where a command has begun and goes on no further.
    ending: Option<JoinHandle<Result<LaneEnd, FollowError>>>,
}

impl KafkaFollower {
    pub(crate) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let Start {
            lane,
            only,
            continuity,
            checkpoint,
            begins,
            tail,
        } = start;
        Self {
            at: At {
                scanned: checkpoint.lane_sequence,
                begins,
            },
            yielded: cursor::read(&shared.topology, checkpoint.cursor.as_deref()),
            source: Source::new(Arc::clone(&shared), lane, only, tail),
            shared,
            lane,
            only,
            continuity,
            checkpoint,
            ready: VecDeque::new(),
            incomplete: 0,
            broken: None,
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
        let patience = (self.incomplete > 0).then_some(STALLED);
        match self.source.next(&self.at, patience).await {
            Next::Again => {}
            Next::Passed(place) => self.at.scanned = place,
            Next::Events(items, scanned) => self.admit(items, scanned),
            Next::Nothing => {
                let lane = self.lane;
                let find = move |shared: &Arc<Shared>| ends::find(shared, lane);
                self.ending = Some(self.shared.look(lane, find));
            }
            Next::Stopped(items, stop) => {
                self.admit(items, None);
                match stop {
                    Stop::Corrupt(place, corruption) => self.stop(place, corruption),
                    // Reading begins again where it ended, when it is asked for again.
                    Stop::Unavailable(source) => {
                        return Err(Shared::unavailable(self.lane, source));
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks events and makes them ready, up to the first that does not follow.
    fn admit(&mut self, items: Vec<Item>, scanned: Option<LaneSequence>) {
        for item in items {
            if self.broken.is_some() {
                return;
            }
            if let Err(corruption) = self.continuity.admit(item.context, &item.event) {
                self.stop(Place::of(self.lane, &item.event), corruption);
                return;
            }
            self.at.begins[item.context] = Some(Begin::at(item.offset + 1));
            self.at.scanned = item.event.lane_sequence;
            self.ready.push_back(item);
            self.incomplete = match self.continuity.is_within_command() {
                true => self.incomplete + 1,
                false => 0,
            };
        }
        self.at.scanned = scanned.unwrap_or(self.at.scanned);
    }

    /// A command of which a part is missing where the lane ends is torn: its parts are committed
    /// together.
    fn check_end(&mut self, end: &Heads) {
        self.shared.reached(self.lane, end);
        let all = (0..).zip(end.sequences.iter().copied());
        let mut followed = all.filter(|(context, _)| self.only.is_none_or(|only| only == *context));
        if followed.all(|(context, last)| self.continuity.ends_at(context, last))
            && let Err(corruption) = self.continuity.at_end(end)
        {
            let place = Place::LaneSequence(self.continuity.lane_sequence());
            self.stop(place, corruption);
        }
    }

    /// Yields what lies before the corruption and nothing after; the first parts of a command
    /// that does not go on are no good either.
    fn stop(&mut self, place: Place, corruption: Corruption) {
        self.ready.truncate(self.ready.len() - self.incomplete);
        self.incomplete = 0;
        self.source.stop();
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
