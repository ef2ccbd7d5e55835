//! A log in memory: the smallest thing that keeps the port's promises to readers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use foldline_event_log::{
    Announcement, Corruption, EventLog, FollowError, Follower, From, Heads, LaneWriter,
    OpenWriterError, Place,
};
use foldline_kernel::{
    Checkpoint, CommandId, Context, Epoch, EventId, Lane, LaneSequence, LogId, Sequence, Timestamp,
    Topology, Version,
};
use foldline_schema::{CommandPart, Event, NewEvent, Stamp, command_hash, encode};
use tokio::sync::watch;
use uuid::Uuid;

use crate::world::{Fact, sales, wallets};

pub(crate) const LANES: u16 = 4;

/// A log whose events are put into it from outside.
pub(crate) struct MemoryLog {
    topology: Topology,
    lanes: Arc<Lanes>,
}

struct Lanes {
    events: Vec<Mutex<Vec<Arc<Event>>>>,
    moved: watch::Sender<u64>,
    contexts: Vec<Context>,
    looked_at: AtomicUsize,
    followed: watch::Sender<usize>,
}

impl MemoryLog {
    pub(crate) fn new() -> Arc<Self> {
        let contexts = vec![wallets(), sales()];
        let id = LogId(Uuid::new_v4());
        let name = "world".parse().unwrap();
        let topology = Topology::new(id, name, LANES, contexts.clone()).unwrap();
        let events = topology.all_lanes().map(|_| Mutex::default()).collect();
        let moved = watch::channel(0).0;
        let lanes = Arc::new(Lanes {
            events,
            moved,
            contexts,
            looked_at: AtomicUsize::new(0),
            followed: watch::channel(0).0,
        });
        Arc::new(Self { topology, lanes })
    }

    /// Appends what happened, each to the lane of its user.
    pub(crate) fn append(&self, facts: &[Fact]) {
        for fact in facts {
            let lane = self.topology.lane_of(fact.user);
            let mut events = self.lanes.events[lane.index()].lock().unwrap();
            let heads = self.lanes.heads(&events);
            let index = self.topology.index_of(&fact.context()).unwrap();
            let stamp = Stamp {
                sequence: heads.sequences[index].next(),
                lane_sequence: heads.lane_sequence.next(),
                epoch: Epoch(1),
            };
            events.push(Arc::new(encode(
                &self.topology.name,
                new_event(fact, stamp),
                stamp,
            )));
        }
        self.lanes.moved.send_modify(|moved| *moved += 1);
    }

    /// Counts the events that followers have looked at since the last time, foreign ones included.
    pub(crate) fn looked_at(&self) -> usize {
        self.lanes.looked_at.swap(0, Ordering::Relaxed)
    }

    /// Waits until so many followers have been begun since the last time.
    pub(crate) async fn followed(&self, times: usize) {
        let mut followed = self.lanes.followed.subscribe();
        let wait = followed.wait_for(|followed| *followed >= times);
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        drop(waited.expect("followers are begun").unwrap());
        self.lanes.followed.send_replace(0);
    }

    /// Returns a lane's events.
    pub(crate) fn lane(&self, lane: Lane) -> Vec<Arc<Event>> {
        self.lanes.events[lane.index()].lock().unwrap().clone()
    }
}

pub(crate) fn new_event(fact: &Fact, stamp: Stamp) -> NewEvent {
    let context = fact.context();
    let minute = i64::try_from(stamp.lane_sequence.0).unwrap() * 60_000_000;
    let id = Uuid::from_u128(u128::from(stamp.lane_sequence.0));
    NewEvent {
        id: EventId(id),
        type_name: fact.type_name.into(),
        subject: fact.user,
        time: Timestamp::from_micros(1_500_000_000_000_000 + minute).unwrap(),
        stream_version: Version(1),
        command_id: CommandId::minted(id),
        command_hash: command_hash(&context, "spec", b""),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: serde_json::Map::new(),
        data: fact.data.to_string().into(),
        context,
    }
}

impl Lanes {
    fn heads(&self, events: &[Arc<Event>]) -> Heads {
        let last = |context: &Context| {
            let mut of_context = events
                .iter()
                .rev()
                .filter(|event| event.context == *context);
            of_context
                .next()
                .map_or(Sequence::ZERO, |event| event.sequence)
        };
        Heads {
            lane_sequence: LaneSequence(events.len() as u64),
            sequences: self.contexts.iter().map(last).collect(),
        }
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    async fn open_writer(
        &self,
        lane: Lane,
        _: Announcement,
    ) -> Result<Box<dyn LaneWriter>, OpenWriterError> {
        let source = "events are put into this log from outside".into();
        Err(OpenWriterError::Unavailable { lane, source })
    }

    async fn follow(
        &self,
        context: &Context,
        partition: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError> {
        self.start(Some(context.clone()), partition, from)
    }

    async fn follow_lane(&self, lane: Lane, from: From) -> Result<Box<dyn Follower>, FollowError> {
        self.start(None, lane, from)
    }

    async fn heads(&self, lane: Lane) -> Result<Heads, FollowError> {
        let events = self.lanes.events[lane.index()].lock().unwrap();
        Ok(self.lanes.heads(&events))
    }
}

impl MemoryLog {
    fn start(
        &self,
        only: Option<Context>,
        lane: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError> {
        let checkpoint = match from {
            From::Beginning => Checkpoint::beginning(self.topology.log_id, lane),
            From::After(at) => at,
            From::Sequence(_) | From::LaneSequence(_) => panic!("no projector starts there"),
        };
        let end = LaneSequence(self.lane(lane).len() as u64);
        if checkpoint.lane_sequence > end {
            return Err(FollowError::Corrupt {
                lane,
                place: Place::Checkpoint(Box::new(checkpoint)),
                corruption: Corruption::BeyondTail(end),
            });
        }
        self.lanes.followed.send_modify(|followed| *followed += 1);
        Ok(Box::new(MemoryFollower {
            lanes: self.lanes.clone(),
            moved: self.lanes.moved.subscribe(),
            scanned: checkpoint.lane_sequence,
            checkpoint,
            only,
        }))
    }
}

struct MemoryFollower {
    lanes: Arc<Lanes>,
    moved: watch::Receiver<u64>,
    only: Option<Context>,
    scanned: LaneSequence,
    checkpoint: Checkpoint,
}

#[async_trait]
impl Follower for MemoryFollower {
    async fn next_batch(&mut self, limit: usize) -> Result<Vec<Arc<Event>>, FollowError> {
        loop {
            self.moved.mark_unchanged();
            let found = self.found(limit);
            if !found.is_empty() {
                return Ok(found);
            }
            self.moved.changed().await.unwrap();
        }
    }

    fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn heads(&self) -> Heads {
        let events = self.lanes.events[self.checkpoint.lane.index()]
            .lock()
            .unwrap();
        self.lanes.heads(&events)
    }
}

impl MemoryFollower {
    fn found(&mut self, limit: usize) -> Vec<Arc<Event>> {
        let events = self.lanes.events[self.checkpoint.lane.index()]
            .lock()
            .unwrap();
        let mut found = Vec::new();
        for event in &events[self.scanned.0 as usize..] {
            if found.len() == limit {
                break;
            }
            self.scanned = event.lane_sequence;
            self.lanes.looked_at.fetch_add(1, Ordering::Relaxed);
            if self.only.as_ref().is_none_or(|only| *only == event.context) {
                self.checkpoint
                    .advance(&event.context, event.sequence, event.lane_sequence);
                found.push(event.clone());
            }
        }
        found
    }
}
