//! Reads the partitions of one lane from a place on, on threads of its own, in the lane's order.
//!
//! ```text
//!   orders/3     1   ·   3   6        an event goes on its way once every lower lane sequence
//!   payments/3   ·   2   ·   ·        has: 6 waits for 4 and 5, whichever partition brings them
//! ```
//!
//! A transaction becomes visible in one partition after another, so that a wait is nothing
//! unusual. It is a gap once everything that had been written by then is visible, and what had
//! to come is not among it.

mod fetch;
mod part;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use foldline_kernel::{Lane, LaneSequence, Position};
use foldline_schema::Event;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};
use tokio::sync::mpsc;

use self::{
    fetch::{Fetcher, Link, Run},
    part::Part,
};
use super::{client::Reading, probe::Partition, shared::Shared, topics::partition};
use crate::{Corruption, FollowError, Place, Source};

/// How much one chunk holds at most.
pub(crate) const CHUNK_EVENTS_MAX: usize = 1024;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// How many chunks are read ahead of their follower.
const CHUNKS_AHEAD: usize = 2;

/// How many runs of records wait to be decoded.
const RUNS_WAITING_MAX: usize = 8;

/// How long a wait for records takes before it is looked whether there is a gap.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// How long an event waits for a lower one before it is asked whether that one can still come.
pub(crate) const STALLED: Duration = Duration::from_millis(300);

/// An event, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) context: usize,
    pub(crate) offset: i64,
    pub(crate) event: Arc<Event>,
}

/// Some events in order, and why no more will come, if none will.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) items: Vec<Item>,
    pub(crate) stopped: Option<Stop>,
}

/// Why a stream cannot go on.
pub(crate) enum Stop {
    Corrupt(Place, Corruption),
    Unavailable(Source),
}

impl std::convert::From<FollowError> for Stop {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Unavailable { source, .. } => Self::Unavailable(source),
            FollowError::Corrupt {
                place, corruption, ..
            } => Self::Corrupt(place, corruption),
        }
    }
}

/// Where to begin to read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) offset: i64,
    /// Whether the first event there is the one that is wanted; else those that were absorbed
    /// already come first, and are skipped.
    pub(crate) exact: bool,
}

impl Begin {
    pub(crate) fn at(offset: i64) -> Self {
        let exact = true;
        Self { offset, exact }
    }

    pub(crate) fn before(offset: i64) -> Self {
        let exact = false;
        Self { offset, exact }
    }
}

/// What a stream reads.
pub(crate) struct From {
    pub(crate) lane: Lane,
    /// Contexts with where to begin in each; several are merged by lane sequence.
    pub(crate) begins: Vec<(usize, Begin)>,
    /// Whether every lane sequence has to come.
    pub(crate) whole: bool,
    /// The lane has been looked through up to here.
    pub(crate) after: LaneSequence,
}

/// Starts to read; the stream ends when the receiver is dropped.
pub(crate) fn start(shared: Arc<Shared>, from: From) -> Result<mpsc::Receiver<Chunk>, Source> {
    let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
    std::thread::Builder::new()
        .name(format!("foldline-read-{}", from.lane))
        .spawn(move || {
            let stop = match Stream::open(shared, from, chunks.clone()) {
                Ok(stream) => stream.run(),
                Err(source) => Some((Vec::new(), Stop::Unavailable(source))),
            };
            if let Some((items, stop)) = stop {
                let _ = chunks.blocking_send(Chunk {
                    items,
                    stopped: Some(stop),
                });
            }
        })?;
    Ok(receiver)
}

struct Stream {
    shared: Arc<Shared>,
    lane: Lane,
    whole: bool,
    after: LaneSequence,
    parts: Vec<Part>,
    runs: Receiver<Run>,
    link: Arc<Link>,
    /// The last lane sequence that went on its way.
    passed: LaneSequence,
    ready: Vec<Item>,
    ready_bytes: usize,
    chunks: mpsc::Sender<Chunk>,
    stalled: Option<Stalled>,
}

/// A wait that has lasted.
struct Stalled {
    since: Instant,
    /// How far the partitions had been written when it began to look like a gap.
    written: Option<Vec<i64>>,
}

type Ended = Option<(Vec<Item>, Stop)>;

impl Stream {
    fn open(shared: Arc<Shared>, from: From, chunks: mpsc::Sender<Chunk>) -> Result<Self, Source> {
        let consumer = Arc::new(shared.clients.consumer(Reading::Streams, true)?);
        let link = Link::new(from.begins.len());
        let mut assignment = TopicPartitionList::new();
        let mut partitions = Vec::with_capacity(from.begins.len());
        let mut parts = Vec::with_capacity(from.begins.len());
        for (context, begin) in from.begins {
            let partition = partition(&shared.topics[context], from.lane);
            let Partition { topic, number } = &partition;
            assignment.add_partition_offset(topic, *number, Offset::Offset(begin.offset))?;
            partitions.push((partition.clone(), begin.offset));
            parts.push(Part::new(context, partition, begin));
        }
        let (sender, runs) = sync_channel(RUNS_WAITING_MAX);
        let fetcher = Fetcher::new(
            Arc::clone(&consumer),
            &partitions,
            Arc::clone(&link),
            sender,
        )?;
        consumer.assign(&assignment)?;
        drop(consumer);
        std::thread::Builder::new()
            .name(format!("foldline-fetch-{}", from.lane))
            .spawn(move || fetcher.run())?;
        Ok(Self {
            shared,
            lane: from.lane,
            whole: from.whole,
            after: from.after,
            passed: from.after,
            parts,
            runs,
            link,
            ready: Vec::new(),
            ready_bytes: 0,
            chunks,
            stalled: None,
        })
    }

    /// Reads until nobody takes the events any more (`None`), or something is in the way.
    fn run(mut self) -> Ended {
        loop {
            while let Some(index) = self.next() {
                self.stalled = None;
                match self.parts[index].take_next().expect("it was chosen") {
                    Ok(item) => self.pass(index, item),
                    Err(corruption) => return self.bad(index, corruption),
                }
                if self.is_full() && !self.flush() {
                    return None;
                }
            }
            // What has come already makes the chunk fuller.
            if let Ok(run) = self.runs.try_recv() {
                self.take(run);
                continue;
            }
            if !self.flush() {
                return None;
            }
            let failed = self.parts.iter_mut().find_map(|part| part.failed.take());
            if let Some(error) = failed {
                return self.end(Stop::Unavailable(error.into()));
            }
            match self.is_gap() {
                Ok(true) => return self.gap(),
                Ok(false) => {}
                Err(source) => return self.end(Stop::Unavailable(source)),
            }
            match self.runs.recv_timeout(WAIT_MAX) {
                Ok(run) => self.take(run),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let gone = "the fetching thread has ended";
                    return self.end(Stop::Unavailable(gone.into()));
                }
            }
        }
    }

    fn take(&mut self, run: Run) {
        let index = run.part;
        let dropped = self.parts[index].take(run, self.after);
        if dropped > 0 {
            self.link.merged(index, dropped);
        }
    }

    /// Chooses the partition whose next event goes on its way now, if one does.
    fn next(&self) -> Option<usize> {
        let is_due = |part: &Part| match part.next() {
            None => false,
            Some(Ok(item)) => !self.whole || item.event.lane_sequence <= self.passed.next(),
            // Everything before it has gone on its way, when there is only one partition.
            Some(Err(_)) => !self.whole,
        };
        self.parts.iter().position(is_due)
    }

    fn pass(&mut self, index: usize, item: Item) {
        let part = &mut self.parts[index];
        part.next_sequence = Some(item.event.sequence.next());
        self.passed = item.event.lane_sequence;
        let bytes = item.event.record.len();
        self.ready_bytes += bytes;
        self.ready.push(item);
        self.link.merged(index, bytes);
    }

    fn is_full(&self) -> bool {
        self.ready.len() >= CHUNK_EVENTS_MAX || self.ready_bytes >= CHUNK_BYTES_MAX
    }

    /// Hands over what is ready, waiting until it is taken; tells whether anybody does.
    fn flush(&mut self) -> bool {
        if self.ready.is_empty() {
            return !self.chunks.is_closed();
        }
        self.ready_bytes = 0;
        let chunk = Chunk {
            items: std::mem::take(&mut self.ready),
            stopped: None,
        };
        self.chunks.blocking_send(chunk).is_ok()
    }

    /// Tells whether what has to come next can still come, once it has been waited for.
    fn is_gap(&mut self) -> Result<bool, Source> {
        if self.parts.iter().all(|part| part.next().is_none()) {
            self.stalled = None;
            return Ok(false);
        }
        if self.parts.iter().all(|part| part.next().is_some()) {
            return Ok(true);
        }
        let stalled = self.stalled.get_or_insert_with(|| Stalled {
            since: Instant::now(),
            written: None,
        });
        if stalled.since.elapsed() < STALLED {
            return Ok(false);
        }
        let empty: Vec<&Part> = self
            .parts
            .iter()
            .filter(|part| part.next().is_none())
            .collect();
        let partitions: Vec<_> = empty.iter().map(|part| part.partition.clone()).collect();
        let written = match stalled.written.take() {
            Some(written) if written.len() == empty.len() => written,
            _ => self.shared.probes.written(&partitions)?,
        };
        let nothing = self.shared.probes.with(|probe| {
            let ends = probe.ends(&partitions)?;
            if ends
                .iter()
                .zip(&written)
                .any(|(end, written)| end < written)
            {
                return Ok(false);
            }
            let places: Vec<_> = empty
                .iter()
                .map(|part| (part.partition.clone(), part.next_offset))
                .collect();
            let found = probe.first_from(&places)?;
            Ok(found.iter().all(Option::is_none))
        })?;
        stalled.since = Instant::now();
        stalled.written = Some(written);
        Ok(nothing)
    }

    /// What had to come next is not there: a record in its place is damaged, or it is missing.
    fn gap(mut self) -> Ended {
        let bad = self
            .parts
            .iter()
            .position(|part| matches!(part.next(), Some(Err(_))));
        if let Some(index) = bad
            && let Some(Err(corruption)) = self.parts[index].take_next()
        {
            return self.bad(index, corruption);
        }
        // A context that this program lacks would leave just such gaps.
        if let Err(source) = self.shared.check_contexts() {
            return self.end(Stop::Unavailable(source));
        }
        let held = self.parts.iter().filter_map(|part| match part.next() {
            Some(Ok(item)) => Some(item.event.lane_sequence),
            _ => None,
        });
        let corruption = Corruption::Sequence {
            kind: "lanesequence",
            expected: self.passed.next().0,
            found: held.min().unwrap_or_default().0,
        };
        let place = Place::LaneSequence(self.passed.next());
        self.end(Stop::Corrupt(place, corruption))
    }

    /// A record of a partition is no event.
    fn bad(self, index: usize, corruption: Corruption) -> Ended {
        let part = &self.parts[index];
        let place = match part.next_sequence {
            Some(sequence) if !self.whole => Place::Expected(Position {
                context: self.shared.topology.contexts[part.context].clone(),
                partition: self.lane,
                sequence,
            }),
            _ => Place::LaneSequence(self.passed.next()),
        };
        self.end(Stop::Corrupt(place, corruption))
    }

    fn end(mut self, stop: Stop) -> Ended {
        Some((std::mem::take(&mut self.ready), stop))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.end();
    }
}
