//! How long a writer holds its next transaction back after the last one.
//!
//! Right after a commit the brokers are still writing its markers. A transaction that begins in
//! that moment is refused, and librdkafka tries again 20 ms later; and it takes along only what
//! has come since. A wait of one to three milliseconds has the markers land and the batch grow,
//! which serves more lanes and more load twice over. A lone caller gains nothing by it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest wait.
const HOLD_MAX: Duration = Duration::from_millis(3);

/// How much longer the wait becomes after a transaction that was tried again.
const STEP_UP: Duration = Duration::from_micros(500);
/// How much shorter it becomes after one that was not.
const STEP_DOWN: Duration = Duration::from_micros(25);

/// A transaction that took so long and is small has most likely been tried again.
const TRIED_AGAIN: Duration = Duration::from_millis(18);

/// How few records make a transaction that is in no hurry to grow.
const FEW_RECORDS: f64 = 2.0;

/// A lane has written lately if it did so within this time.
const LATELY: Duration = Duration::from_millis(100);

/// What the writers of one process know of each other.
#[derive(Clone)]
pub(crate) struct Paces {
    shared: Arc<Shared>,
}

struct Shared {
    begun: Instant,
    /// Of each lane when it wrote last, in milliseconds since `begun`, one more.
    wrote: Vec<AtomicU64>,
}

/// The pace of one writer.
pub(crate) struct Pace {
    shared: Arc<Shared>,
    lane: usize,
    last: Option<Instant>,
    /// The wait that what happened lately asks for.
    learnt: Duration,
    /// How many records a transaction has, on average over the last few.
    records: f64,
}

impl Paces {
    pub(crate) fn new(lanes: u16) -> Self {
        let wrote = (0..lanes).map(|_| AtomicU64::new(0)).collect();
        let begun = Instant::now();
        Self {
            shared: Arc::new(Shared { begun, wrote }),
        }
    }

    pub(crate) fn of_writer(&self, lane: usize) -> Pace {
        Pace {
            shared: Arc::clone(&self.shared),
            lane,
            last: None,
            learnt: Duration::ZERO,
            records: 1.0,
        }
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// How many lanes have written lately.
    fn busy(&self) -> u32 {
        let since = self.now_ms().saturating_sub(LATELY.as_millis() as u64);
        let is_busy = |wrote: &&AtomicU64| {
            let wrote = wrote.load(Ordering::Relaxed);
            wrote > 0 && wrote >= since
        };
        let busy = self.wrote.iter().filter(is_busy).count();
        u32::try_from(busy).unwrap_or(u32::MAX)
    }
}

impl Pace {
    /// Waits until the next transaction may begin. It blocks.
    pub(crate) fn hold_back(&self) {
        let since = self.last.map(|last| last.elapsed());
        if let Some(left) = since.and_then(|since| self.hold().checked_sub(since))
            && !left.is_zero()
        {
            std::thread::sleep(left);
        }
    }

    /// Learns from a transaction that has been written.
    pub(crate) fn wrote(&mut self, records: usize, took: Duration) {
        self.last = Some(Instant::now());
        self.shared.wrote[self.lane].store(self.shared.now_ms(), Ordering::Relaxed);
        self.records += (records as f64 - self.records) / 8.0;
        self.learnt = if took >= TRIED_AGAIN {
            (self.learnt + STEP_UP).min(HOLD_MAX)
        } else {
            self.learnt.saturating_sub(STEP_DOWN)
        };
    }

    /// Half a millisecond, and a quarter for each other lane that writes, where there is something
    /// to gather; and what transactions that were tried again have taught.
    fn hold(&self) -> Duration {
        if self.records < FEW_RECORDS {
            return self.learnt;
        }
        let others = self.shared.busy().saturating_sub(1);
        let for_lanes = Duration::from_micros(500) + Duration::from_micros(250) * others.min(4);
        self.learnt.max(for_lanes).min(HOLD_MAX)
    }
}
