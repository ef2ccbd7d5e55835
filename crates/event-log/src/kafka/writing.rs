//! The thread of one lane's writer: it fences, announces, finds the lane's end, then writes what
//! it is given until it is let go.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use foldline_kernel::{Epoch, Lane};
use tokio::sync::oneshot;

use super::{
    ends,
    lanes::{self, Owner},
    pace::Pace,
    shared::Shared,
    topics::partition,
    transactions::{Failed, Outgoing, Transactions},
};
use crate::{Announcement, FollowError, Heads, OpenWriterError, Source};

/// The largest epoch: CloudEvents integers have 32 bits with a sign.
const EPOCH_MAX: u32 = i32::MAX as u32;

/// How many jobs wait for a writer's thread: an append and the slices of snapshots beside it.
pub(crate) const JOBS_MAX: usize = 4;

/// How long snapshots wait for an append to ride with.
const RIDE_WAIT: Duration = Duration::from_millis(20);

/// What a writer's thread is to write.
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// An append of nothing is a sign of life.
    pub(crate) records: Vec<Outgoing>,
    pub(crate) answer: oneshot::Sender<Result<(), Failed>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A transaction of its own, at once.
    Append,
    /// Goes along with the next append, if one comes soon.
    Snapshots,
}

/// Where a writer's thread takes its jobs; it ends once nobody holds this any more.
pub(crate) type Jobs = mpsc::SyncSender<Job>;

/// A writer that has taken its lane over.
pub(crate) struct Opened {
    pub(crate) epoch: Epoch,
    pub(crate) heads: Heads,
    pub(crate) jobs: Arc<Jobs>,
}

/// Starts the thread of a writer; its answer comes once the lane is its own.
pub(crate) fn start(
    shared: Arc<Shared>,
    lane: Lane,
    announcement: Announcement,
) -> Result<oneshot::Receiver<Result<Opened, OpenWriterError>>, Source> {
    let (answer, opened) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("foldline-lane-{lane}"))
        .spawn(move || {
            let (jobs, waiting) = mpsc::sync_channel(JOBS_MAX);
            match Writing::open(shared, lane, announcement) {
                Ok((writing, heads)) => {
                    let jobs = Arc::new(jobs);
                    writing.shared.opened(lane, &jobs);
                    let opened = Opened {
                        epoch: writing.owner.epoch,
                        heads,
                        jobs,
                    };
                    // Nobody waits any more: then the lane is let go at once.
                    if answer.send(Ok(opened)).is_ok() {
                        writing.run(&waiting);
                    }
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            }
        })?;
    Ok(opened)
}

struct Writing {
    shared: Arc<Shared>,
    lane: Lane,
    transactions: Transactions,
    owner: Owner,
    pace: Pace,
}

impl Writing {
    /// Takes the lane over. The order matters: once nothing of an earlier writer can become
    /// visible, the topology tells whether this program may still write; the first transaction
    /// proves that nobody has come after; only then is the end of the lane its end.
    fn open(
        shared: Arc<Shared>,
        lane: Lane,
        announcement: Announcement,
    ) -> Result<(Self, Heads), OpenWriterError> {
        let unavailable = |source: Source| OpenWriterError::Unavailable { lane, source };
        // A program that may not write does not fence the one that does.
        shared.check_contexts().map_err(unavailable)?;
        let of_lane = shared.names.lane(lane);
        let id = transactional_id(&shared, lane);
        let producer = shared
            .clients
            .transactional(&id)
            .map_err(|error| unavailable(error.into()))?;
        let timeout = shared.settings.transaction_timeout;
        let transactions = Transactions::fence(producer, &of_lane.topic, of_lane.number, timeout)
            .map_err(|error| unavailable(error.into()))?;
        shared.check_contexts().map_err(unavailable)?;
        let epoch = next_epoch(&shared, lane)?;
        let writing = Self {
            owner: Owner::new(epoch, announcement),
            pace: shared.paces.of_writer(lane.index()),
            shared,
            lane,
            transactions,
        };
        let announced = writing.of_lane(writing.owner.announced());
        writing
            .transactions
            .write(vec![announced], now_ms())
            .map_err(|failed| {
                unavailable(match failed {
                    Failed::Fenced => "another writer was opened at the same time".into(),
                    Failed::Unknown(cause) | Failed::Nothing(cause) => cause.into(),
                })
            })?;
        let heads = ends::find_as_writer(&writing.shared, lane).map_err(|error| match error {
            FollowError::Unavailable { source, .. } => unavailable(source),
            corrupt @ FollowError::Corrupt { .. } => OpenWriterError::Corrupt {
                lane,
                trouble: corrupt.to_string(),
            },
        })?;
        fail::fail_point!("log::announced", |_| std::process::abort());
        Ok((writing, heads))
    }

    /// Writes until whoever gives the jobs has gone, or a transaction has failed.
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let together = gather(jobs, first);
            if !self.write(together) {
                break;
            }
        }
        while let Ok(job) = jobs.try_recv() {
            let failed = Failed::nothing("an earlier transaction of this writer failed");
            let _ = job.answer.send(Err(failed));
        }
    }

    /// Writes jobs in one transaction; tells whether another one may follow.
    fn write(&mut self, jobs: Vec<Job>) -> bool {
        let mut records = Vec::new();
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.records.is_empty() {
                records.push(self.of_lane(self.owner.alive()));
            }
            records.extend(job.records);
            answers.push(job.answer);
        }
        self.pace.hold_back();
        let begun = Instant::now();
        let count = records.len();
        let written = self.transactions.write(records, now_ms());
        self.pace.wrote(count, begun.elapsed());
        for answer in answers {
            // Whoever has gone finds the outcome in the log.
            let _ = answer.send(written.clone());
        }
        written.is_ok()
    }

    fn of_lane(&self, value: Vec<u8>) -> Outgoing {
        Outgoing {
            topic: self.shared.names.lanes.clone(),
            key: lanes::key(self.lane),
            value: value.into(),
            headers: None,
        }
    }
}

/// The log and the lane and nothing else: whoever writes the lane fences whoever did before.
fn transactional_id(shared: &Shared, lane: Lane) -> String {
    let id = format!("{}-{lane}", shared.topology.log_id);
    // What breaks this shows whether `cargo xtask faults` would find it.
    fail::fail_point!("broken::fencing", |_| format!(
        "{id}-{}",
        uuid::Uuid::now_v7()
    ));
    id
}

/// Takes along what waits already; snapshots alone wait a little for an append.
fn gather(jobs: &mpsc::Receiver<Job>, first: Job) -> Vec<Job> {
    let mut together = vec![first];
    while together.len() < JOBS_MAX {
        let has_append = together.iter().any(|job| job.kind == Kind::Append);
        let next = if has_append {
            jobs.try_recv().ok()
        } else {
            jobs.recv_timeout(RIDE_WAIT).ok()
        };
        match next {
            Some(job) => together.push(job),
            None => break,
        }
    }
    together
}

/// Returns the epoch after the last one announced.
///
/// The producer's own epoch will not do: Kafka starts it anew whenever it forgets the id, after
/// a week without a writer. The announcement will: whoever announces has fenced everybody before
/// it has read the last one, and its own becomes visible only if nobody has fenced it since; so
/// two writers never announce the same epoch.
fn next_epoch(shared: &Shared, lane: Lane) -> Result<Epoch, OpenWriterError> {
    let of_lane = partition(&shared.names.lanes, lane);
    let corrupt = |trouble: String| OpenWriterError::Corrupt { lane, trouble };
    let last = shared
        .probes
        .with(|probe| {
            let end = probe.ends(std::slice::from_ref(&of_lane))?[0];
            Ok(probe.last_before(&[(of_lane.clone(), end)])?.remove(0))
        })
        .map_err(|source| OpenWriterError::Unavailable { lane, source })?;
    let Some(last) = last else {
        return Ok(Epoch(1));
    };
    let topic = &of_lane.topic;
    let owner = Owner::read(&last).map_err(|trouble| corrupt(format!("`{topic}`: {trouble}")))?;
    if owner.epoch.0 >= EPOCH_MAX {
        return Err(corrupt(format!("its epochs are used up at {EPOCH_MAX}")));
    }
    Ok(Epoch(owner.epoch.0 + 1))
}

/// Returns the record timestamp: when it is appended, not when the event happened.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}
