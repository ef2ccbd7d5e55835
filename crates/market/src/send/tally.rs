//! Counts answers while many tasks send, and knows how long nothing has been answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::summary::Summary;

/// The figures of a run under way.
#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    accepted: AtomicU64,
    already_known: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
    refused_total: AtomicU64,
    /// Milliseconds after `started` at which the last answer came.
    answered_ms: AtomicU64,
    /// Whether `trouble` says something: spares the lock on every good answer.
    troubled: AtomicBool,
    trouble: Mutex<String>,
}

impl Tally {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            accepted: AtomicU64::new(0),
            already_known: AtomicU64::new(0),
            refused: Mutex::default(),
            refused_total: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            troubled: AtomicBool::new(false),
            trouble: Mutex::default(),
        }
    }

    /// Counts a settled command.
    pub(super) fn count(&self, answer: Answer) {
        match answer {
            Answer::Accepted => {
                self.accepted.fetch_add(1, Relaxed);
            }
            Answer::AlreadyKnown => {
                self.already_known.fetch_add(1, Relaxed);
            }
            Answer::Refused(code) => {
                self.refused_total.fetch_add(1, Relaxed);
                *lock(&self.refused).entry(code).or_default() += 1;
            }
        }
        self.answered_ms
            .fetch_max(self.started.elapsed().as_millis() as u64, Relaxed);
        self.troubled.store(false, Relaxed);
    }

    /// Remembers why a command has to be sent again, until the next one is answered.
    pub(super) fn note_trouble(&self, why: &str) {
        why.clone_into(&mut lock(&self.trouble));
        self.troubled.store(true, Relaxed);
    }

    /// Why nothing moves, if nothing does.
    pub(super) fn trouble(&self) -> Option<String> {
        self.troubled
            .load(Relaxed)
            .then(|| lock(&self.trouble).clone())
    }

    /// How many commands were answered so far.
    pub(super) fn sent(&self) -> u64 {
        let counters = [&self.accepted, &self.already_known, &self.refused_total];
        counters.iter().map(|counter| counter.load(Relaxed)).sum()
    }

    /// How long ago the run began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long ago the last command was answered, or the run began.
    pub(super) fn idle(&self) -> Duration {
        let answered = Duration::from_millis(self.answered_ms.load(Relaxed));
        self.started.elapsed().saturating_sub(answered)
    }

    /// The figures so far; final once no task sends any more.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            sent: self.sent(),
            accepted: self.accepted.load(Relaxed),
            already_known: self.already_known.load(Relaxed),
            refused: lock(&self.refused).clone(),
            seconds: self.started.elapsed().as_millis() as f64 / 1000.0,
        }
    }
}

/// The figures are whole after every step, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
