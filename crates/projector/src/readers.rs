//! The readers of the lanes that one pipeline follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldline_kernel::{Checkpoint, Lane};
use foldline_tables::{Absorbed, Parked};
use rustc_hash::FxHashSet;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinError, JoinSet},
};

use crate::{
    lane::{Arrival, LaneReader},
    projector::Projector,
};

/// How many chunks of all lanes may wait to be put together.
const CHUNKS_WAITING_MAX: usize = 8;

/// Readers, each a task of its own; they end with this.
pub(crate) struct Readers {
    running: BTreeMap<Lane, Running>,
    tasks: JoinSet<()>,
    pace: Arc<AtomicUsize>,
    out: mpsc::Sender<(ReaderNumber, Arrival)>,
    arrivals: mpsc::Receiver<(ReaderNumber, Arrival)>,
    last: ReaderNumber,
}

/// Tells the readers of one lane apart, of which one comes after the other.
pub(crate) type ReaderNumber = u64;

struct Running {
    number: ReaderNumber,
    task: AbortHandle,
}

impl Readers {
    /// Begins with none; a chunk has as many events as the pace says.
    pub(crate) fn new(pace: usize) -> Self {
        let (out, arrivals) = mpsc::channel(CHUNKS_WAITING_MAX);
        Self {
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            pace: Arc::new(AtomicUsize::new(pace)),
            out,
            arrivals,
            last: 0,
        }
    }

    /// Begins to read a lane after what has been absorbed of it.
    pub(crate) fn start(&mut self, projector: &Projector, lane: Lane, absorbed: &Absorbed) {
        let log_id = projector.shared.log.topology().log_id;
        let beginning = || Checkpoint::beginning(log_id, lane);
        let of_lane = |parked: &&Parked| parked.lane == lane;
        let parked: FxHashSet<_> = absorbed
            .parked
            .iter()
            .filter(of_lane)
            .map(|parked| parked.user)
            .collect();
        self.last += 1;
        let reader = LaneReader {
            shared: Arc::clone(&projector.shared),
            live: Arc::clone(&projector.live),
            model: Arc::clone(&projector.model),
            lane,
            at: absorbed.lane(lane).cloned().unwrap_or_else(beginning),
            parked,
            pace: Arc::clone(&self.pace),
            number: self.last,
            out: self.out.clone(),
        };
        let running = Running {
            number: self.last,
            task: self.tasks.spawn(reader.run()),
        };
        self.running.insert(lane, running);
    }

    /// Stops to read a lane; what is still on its way from there is not taken any more.
    pub(crate) fn stop(&mut self, lane: Lane) {
        if let Some(running) = self.running.remove(&lane) {
            running.task.abort();
        }
    }

    pub(crate) fn lanes(&self) -> BTreeSet<Lane> {
        self.running.keys().copied().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn set_pace(&self, pace: usize) {
        self.pace.store(pace, Ordering::Relaxed);
    }

    /// Waits for what a lane passes on, where more is taken, and for a reader that breaks down.
    ///
    /// Cancel-safe: what has not been returned stays.
    pub(crate) async fn next(&mut self, takes_more: bool) -> Result<Arrival, JoinError> {
        loop {
            tokio::select! {
                biased;
                arrival = self.arrivals.recv(), if takes_more => {
                    let (number, arrival) = arrival.expect("a sender is beside it");
                    if self.reads(number) {
                        return Ok(arrival);
                    }
                }
                Some(ended) = self.tasks.join_next() => match ended {
                    // One that is stopped does not break down.
                    Err(ended) if !ended.is_cancelled() => return Err(ended),
                    Ok(()) | Err(_) => {}
                },
                else => return std::future::pending().await,
            }
        }
    }

    /// Returns what a lane has passed on already.
    pub(crate) fn arrived(&mut self) -> Option<Arrival> {
        while let Ok((number, arrival)) = self.arrivals.try_recv() {
            if self.reads(number) {
                return Some(arrival);
            }
        }
        None
    }

    fn reads(&self, number: ReaderNumber) -> bool {
        self.running
            .values()
            .any(|running| running.number == number)
    }
}
