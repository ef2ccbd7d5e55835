//! One consumer for the ends of all lanes that this process follows, however many followers each
//! has.
//!
//! ```text
//!   partitions of 64 lanes ── one consumer ── by lane, in order ── tails ── followers
//! ```
//!
//! It goes only where everything is well. Whatever is not (a record that is no event, a lane
//! sequence that does not come) ends the lane's tail; its followers then read for themselves and
//! find out what it is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use foldline_kernel::{Lane, LaneSequence};
use foldline_schema::decode;
use rdkafka::{
    Message, Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError,
    message::BorrowedMessage,
};

use super::{
    client::{Consumer, Reading},
    ends::LaneEnd,
    shared::Shared,
    stream::Item,
    tail::LaneTail,
};
use crate::Source;

/// How many bytes of events all tails keep together.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// How many bytes each may keep at least.
const LANE_BYTES_MIN: usize = 256 << 10;

/// How many events are taken before they are published.
const BURST_MAX: usize = 512;
/// How long the consumer is listened to before the lanes are looked after.
const LISTEN: Duration = Duration::from_millis(20);
/// How often it is looked whether a lane still has followers, or waits for too long.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How many events of a lane may wait for a lower one, and for how long.
const WAITING_MAX: usize = 10_000;
const WAITING_TIME_MAX: Duration = Duration::from_secs(2);

/// The tails of the lanes that are followed.
#[derive(Default)]
pub(crate) struct Feed {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tails: HashMap<Lane, Arc<LaneTail>>,
    /// Where the reading thread takes lanes on, while there is one.
    thread: Option<mpsc::Sender<Joining>>,
}

/// A lane that is to be read from its end on.
struct Joining {
    lane: Lane,
    tail: Arc<LaneTail>,
    end: LaneEnd,
}

impl Feed {
    /// Returns the tail of a lane, which begins at this end unless the lane is followed already.
    pub(crate) fn join(
        &self,
        shared: &Arc<Shared>,
        lane: Lane,
        end: LaneEnd,
    ) -> Result<Arc<LaneTail>, Source> {
        let mut state = self.lock();
        if let Some(tail) = state.tails.get(&lane) {
            return Ok(Arc::clone(tail));
        }
        let tail = Arc::new(LaneTail::new(end.committed(), end.last()));
        let joining = Joining {
            lane,
            tail: Arc::clone(&tail),
            end,
        };
        if state.thread.is_none() {
            state.thread = Some(start(shared)?);
        }
        let thread = state.thread.as_ref().expect("it was started just above");
        if thread.send(joining).is_err() {
            state.thread = None;
            return Err("the reading thread has ended".into());
        }
        state.tails.insert(lane, Arc::clone(&tail));
        Ok(tail)
    }

    /// Ends a tail, so that whoever follows its lane begins anew; another one may have taken its
    /// place.
    fn end(&self, lane: Lane, tail: &Arc<LaneTail>) {
        let mut state = self.lock();
        let is_it = |known: &Arc<LaneTail>| Arc::ptr_eq(known, tail);
        if state.tails.get(&lane).is_some_and(is_it) {
            state.tails.remove(&lane);
        }
        drop(state);
        tail.end();
    }

    /// Ends the tails that nobody reads, and returns their lanes.
    fn end_unread(&self) -> Vec<Lane> {
        let mut state = self.lock();
        // One is held here, one by the thread; nobody can join while the lock is held.
        let unread: Vec<Lane> = state
            .tails
            .iter()
            .filter(|(_, tail)| Arc::strong_count(tail) <= 2)
            .map(|(lane, _)| *lane)
            .collect();
        for lane in &unread {
            state.tails.remove(lane);
        }
        unread
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the reading thread, which ends with the log.
fn start(shared: &Arc<Shared>) -> Result<mpsc::Sender<Joining>, Source> {
    let (sender, joining) = mpsc::channel();
    let consumer = shared.clients.consumer(Reading::Tails, true)?;
    let contexts = shared.topics.iter().cloned().zip(0..).collect();
    let reader = Reader {
        shared: Arc::downgrade(shared),
        consumer,
        contexts,
        lanes: HashMap::new(),
        joining,
    };
    std::thread::Builder::new()
        .name("foldline-feed".into())
        .spawn(move || reader.run())?;
    Ok(sender)
}

struct Reader {
    shared: Weak<Shared>,
    consumer: Consumer,
    contexts: HashMap<Arc<str>, usize>,
    lanes: HashMap<Lane, Fed>,
    joining: mpsc::Receiver<Joining>,
}

/// A lane that is being read.
struct Fed {
    tail: Arc<LaneTail>,
    passed: LaneSequence,
    /// In order, not yet published.
    ready: Vec<Item>,
    /// Wait for a lower lane sequence.
    waiting: BTreeMap<LaneSequence, Item>,
    since: Option<Instant>,
}

impl Reader {
    fn run(mut self) {
        let mut looked_after = Instant::now();
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            while let Ok(joining) = self.joining.try_recv() {
                let lane = joining.lane;
                if let Err(error) = self.take_on(&shared, joining) {
                    tracing::warn!(%lane, error = error.as_ref(), "lane not followed");
                    self.give_up(&shared, lane);
                }
            }
            let broken = self.listen();
            self.publish(&shared);
            for lane in broken {
                self.give_up(&shared, lane);
            }
            if looked_after.elapsed() > LOOK_AFTER {
                looked_after = Instant::now();
                self.look_after(&shared);
            }
        }
    }

    fn take_on(&mut self, shared: &Shared, joining: Joining) -> Result<(), Source> {
        let Joining { lane, tail, end } = joining;
        let mut assignment = TopicPartitionList::new();
        for (partition, at) in shared.partitions(lane).iter().zip(&end.tails) {
            let from = Offset::Offset(at.last.map_or(0, |last| last + 1));
            assignment.add_partition_offset(&partition.topic, partition.number, from)?;
        }
        let fed = Fed {
            tail,
            passed: end.committed().lane_sequence,
            ready: Vec::new(),
            waiting: BTreeMap::new(),
            since: None,
        };
        self.lanes.insert(lane, fed);
        self.consumer.incremental_assign(&assignment)?;
        Ok(())
    }

    /// Takes what has come; returns the lanes that cannot go on.
    fn listen(&mut self) -> Vec<Lane> {
        let mut broken = Vec::new();
        let mut wait = LISTEN;
        for _ in 0..BURST_MAX {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(record)) => {
                    let lane = Lane(u16::try_from(record.partition()).unwrap_or(u16::MAX));
                    let Some(fed) = self.lanes.get_mut(&lane) else {
                        continue;
                    };
                    if !fed.take(&self.contexts, &record) && !broken.contains(&lane) {
                        broken.push(lane);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // The client mends what can be mended; what comes of the rest is told below.
                Some(Err(error)) => {
                    tracing::debug!(%error, "kafka feed");
                    if is_about_partitions(&error) {
                        broken.extend(self.lanes.keys());
                    }
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        broken
    }

    fn publish(&mut self, shared: &Shared) {
        let bytes_max = (KEPT_BYTES_MAX / self.lanes.len().max(1)).max(LANE_BYTES_MIN);
        for (lane, fed) in &mut self.lanes {
            if !fed.ready.is_empty() {
                let heads = fed.tail.publish(std::mem::take(&mut fed.ready), bytes_max);
                shared.reached(*lane, &heads);
            }
        }
    }

    fn look_after(&mut self, shared: &Shared) {
        for lane in shared.feed.end_unread() {
            self.give_up(shared, lane);
        }
        let stuck: Vec<Lane> = self
            .lanes
            .iter()
            .filter(|(_, fed)| fed.since.is_some_and(|at| at.elapsed() > WAITING_TIME_MAX))
            .map(|(lane, _)| *lane)
            .collect();
        for lane in stuck {
            tracing::warn!(%lane, "a lane sequence does not come");
            self.give_up(shared, lane);
        }
    }

    fn give_up(&mut self, shared: &Shared, lane: Lane) {
        if let Some(fed) = self.lanes.remove(&lane) {
            shared.feed.end(lane, &fed.tail);
            let mut assignment = TopicPartitionList::new();
            for partition in shared.partitions(lane) {
                assignment.add_partition(&partition.topic, partition.number);
            }
            if let Err(error) = self.consumer.incremental_unassign(&assignment) {
                tracing::debug!(%error, %lane, "kafka feed");
            }
        }
    }
}

impl Fed {
    /// Takes a record in its lane's order; tells whether the lane can go on.
    fn take(&mut self, contexts: &HashMap<Arc<str>, usize>, record: &BorrowedMessage<'_>) -> bool {
        let Some(context) = contexts.get(record.topic()) else {
            return true;
        };
        let value = Bytes::copy_from_slice(record.payload().unwrap_or_default());
        let Ok(event) = decode(value) else {
            return false;
        };
        let at = event.lane_sequence;
        let item = Item {
            context: *context,
            offset: record.offset(),
            event: Arc::new(event),
        };
        if at != self.passed.next() {
            // What was there before the tail began is not read, so this one is out of place.
            let is_early = at > self.passed && self.waiting.len() < WAITING_MAX;
            self.since.get_or_insert_with(Instant::now);
            return is_early && self.waiting.insert(at, item).is_none();
        }
        self.passed = at;
        self.ready.push(item);
        while let Some(next) = self.waiting.remove(&self.passed.next()) {
            self.passed = next.event.lane_sequence;
            self.ready.push(next);
        }
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        true
    }
}

/// Tells whether an error ends the reading of some partition, of which it does not say which.
fn is_about_partitions(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            code,
            Some(
                Code::AutoOffsetReset
                    | Code::OffsetOutOfRange
                    | Code::BadMessage
                    | Code::InvalidMessage
                    | Code::UnknownTopic
                    | Code::UnknownPartition
                    | Code::UnknownTopicOrPartition
                    | Code::TopicAuthorizationFailed
            )
        )
}
