//! What the parts of an open log share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicI64, Ordering},
};

use foldline_kernel::{Context, Lane, Topology};

use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use super::{
    Settings,
    client::Clients,
    ends::LaneEnd,
    feed::Feed,
    pace::Paces,
    probe::{PROBES_MAX, Partition, Probes},
    topics::{Names, partition},
    topology,
    writing::Jobs,
};
use crate::{FollowError, Heads, Owners, Source};

/// How many followers read what they missed at once; the others wait their turn.
const CATCHING_UP_MAX: usize = 16;

pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clients: Clients,
    pub(crate) probes: Probes,
    pub(crate) names: Names,
    pub(crate) topology: Topology,
    pub(crate) paces: Paces,
    pub(crate) feed: Feed,
    /// Who has which lane, once somebody has asked.
    pub(crate) owners: Mutex<Option<watch::Receiver<Owners>>>,
    /// Turns to look into the topics, so that those who wait hold no thread.
    looks: Arc<Semaphore>,
    /// Turns to read for oneself.
    pub(crate) catching_up: Arc<Semaphore>,
    /// The topics of the contexts, in the order of the topology.
    pub(crate) topics: Vec<Arc<str>>,
    /// Where the topology topic ended when it was last read.
    topology_end: AtomicI64,
    /// Per lane the end as far as this process knows.
    known: Vec<Mutex<LaneEnd>>,
    /// Per lane the writer that this process has opened last, for as long as it is held.
    writers: Vec<Mutex<Weak<Jobs>>>,
}

impl Shared {
    pub(crate) fn new(
        settings: Arc<Settings>,
        clients: Clients,
        probes: Probes,
        names: Names,
        topology: Topology,
    ) -> Self {
        let contexts = &topology.contexts;
        let topics = contexts.iter().map(|context| names.context(context));
        let known = topology
            .all_lanes()
            .map(|_| Mutex::new(LaneEnd::empty(contexts.len())))
            .collect();
        Self {
            topics: topics.collect(),
            settings,
            clients,
            probes,
            names,
            paces: Paces::new(topology.lanes),
            feed: Feed::default(),
            owners: Mutex::default(),
            looks: Arc::new(Semaphore::new(PROBES_MAX)),
            catching_up: Arc::new(Semaphore::new(CATCHING_UP_MAX)),
            topology_end: AtomicI64::new(0),
            known,
            writers: topology.all_lanes().map(|_| Mutex::default()).collect(),
            topology,
        }
    }

    /// Has something looked up beside the workers, when it is its turn.
    pub(crate) fn look<T: Send + 'static>(
        self: &Arc<Self>,
        lane: Lane,
        work: impl FnOnce(&Arc<Self>) -> Result<T, FollowError> + Send + 'static,
    ) -> JoinHandle<Result<T, FollowError>> {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let turns = Arc::clone(&shared.looks);
            let _turn = turns.acquire().await.expect("it is never closed");
            tokio::task::spawn_blocking(move || work(&shared))
                .await
                .unwrap_or_else(|ended| Err(Self::unavailable(lane, ended)))
        })
    }

    /// A lane's partition of every context, in the order of the topology.
    pub(crate) fn partitions(&self, lane: Lane) -> Vec<Partition> {
        self.topics
            .iter()
            .map(|topic| partition(topic, lane))
            .collect()
    }

    /// Returns the lane's end as far as this process knows.
    pub(crate) fn known(&self, lane: Lane) -> MutexGuard<'_, LaneEnd> {
        lock(&self.known[lane.index()])
    }

    /// Notes that a lane reaches at least as far; what was read later may be behind what was
    /// appended here.
    pub(crate) fn reached(&self, lane: Lane, heads: &Heads) {
        let mut known = self.known(lane);
        if heads.lane_sequence > known.heads.lane_sequence {
            known.heads = heads.clone();
        }
    }

    /// Returns where the lane's writer in this process takes its jobs.
    pub(crate) fn writer(&self, lane: Lane) -> Option<Arc<Jobs>> {
        lock(&self.writers[lane.index()]).upgrade()
    }

    /// Notes the writer that has been opened last.
    pub(crate) fn opened(&self, lane: Lane, jobs: &Arc<Jobs>) {
        *lock(&self.writers[lane.index()]) = Arc::downgrade(jobs);
    }

    /// Refuses a lane that the log does not have.
    pub(crate) fn check_lane(&self, lane: Lane) -> Result<(), Source> {
        let lanes = self.topology.lanes;
        if lane.0 >= lanes {
            return Err(format!("the log has {lanes} lanes").into());
        }
        Ok(())
    }

    /// Refuses to go on once another process has brought the log a context that this program
    /// lacks: its events take lane sequences that this program would give out again.
    pub(crate) fn check_contexts(&self) -> Result<(), Source> {
        let of_topology = Partition {
            topic: self.names.topology.clone(),
            number: 0,
        };
        let end = self.probes.with(|probe| {
            let ends = probe.ends(std::slice::from_ref(&of_topology))?;
            Ok(ends[0])
        })?;
        if end == self.topology_end.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = topology::read(&self.probes, &self.names.topology)?
            .map_err(|broken| format!("the topology cannot be read any more: {broken:?}"))?
            .ok_or("the topology is gone")?;
        let lacking = topology::lacking(&now, &self.topology.contexts);
        if !lacking.is_empty() {
            return Err(format!(
                "the log has a context that this program lacks: `{}`; start a program that has it",
                lacking
                    .iter()
                    .map(Context::as_str)
                    .collect::<Vec<_>>()
                    .join("`, `")
            )
            .into());
        }
        if now.log_id != self.topology.log_id {
            return Err("another log has taken the place of this one".into());
        }
        self.topology_end.store(end, Ordering::Release);
        Ok(())
    }

    pub(crate) fn unavailable(lane: Lane, source: impl Into<Source>) -> FollowError {
        FollowError::Unavailable {
            lane,
            source: source.into(),
        }
    }
}

/// No code under these locks can panic half way, so a poisoned one still holds whole values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
