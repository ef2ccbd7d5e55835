//! What the command side counts and measures.

use std::time::Duration;

use foldline_kernel::Lane;
use metrics::{Counter, Gauge, Histogram};
use rustc_hash::FxHashMap;

use crate::{Answer, CommandError, Contexts, passing::Attempt};

/// How many lanes have a queue gauge of their own.
const LANES_METERED_MAX: usize = 64;

/// The meters of the command side, looked up once and not per command.
pub(crate) struct Meters {
    by_context: Vec<ContextMeters>,
    batch_events: Histogram,
    quarantined: Gauge,
    queued: Vec<Gauge>,
    passed_on: PassedOn,
}

/// What became of attempts to have commands decided elsewhere.
struct PassedOn {
    answered: Counter,
    not_taken: Counter,
    unanswered: Counter,
}

struct ContextMeters {
    context: String,
    seconds: Histogram,
    outcomes: FxHashMap<&'static str, Counter>,
}

impl Meters {
    pub(crate) fn new(contexts: &Contexts, lanes: u16) -> Self {
        let names = contexts.names();
        Self {
            by_context: names.iter().map(ContextMeters::new).collect(),
            batch_events: metrics::histogram!("foldline_batch_events"),
            quarantined: metrics::gauge!("foldline_quarantined_users"),
            queued: (0..lanes)
                .take(LANES_METERED_MAX)
                .map(|lane| metrics::gauge!("foldline_queue_commands", "lane" => lane.to_string()))
                .collect(),
            passed_on: PassedOn::new(),
        }
    }

    /// Counts an attempt that another node was part of, or should have been.
    pub(crate) fn attempt(&self, attempt: &Attempt) {
        match attempt {
            Attempt::Answered(Ok(Answer::Passed(_))) => self.passed_on.answered.increment(1),
            Attempt::Answered(_) => {}
            Attempt::NotTaken(_) => self.passed_on.not_taken.increment(1),
            Attempt::Unknown(_) => self.passed_on.unanswered.increment(1),
        }
    }

    pub(crate) fn answered(
        &self,
        context: Option<usize>,
        answer: &Result<Answer, CommandError>,
        took: Duration,
    ) {
        let Some(meters) = context.map(|index| &self.by_context[index]) else {
            return;
        };
        let outcome = match answer {
            Ok(Answer::Accepted(accepted)) if accepted.replayed => "replayed",
            Ok(Answer::Accepted(_)) => "accepted",
            Ok(Answer::Unchanged { .. }) => "unchanged",
            // The owner counts what it answered.
            Ok(Answer::Passed(_)) => "passed_on",
            Err(error) => error.outcome(),
        };
        meters.seconds.record(took.as_secs_f64());
        match meters.outcomes.get(outcome) {
            Some(counter) => counter.increment(1),
            None => counter(&meters.context, outcome).increment(1),
        }
    }

    pub(crate) fn batch(&self, events: usize) {
        self.batch_events.record(events as f64);
    }

    pub(crate) fn queued(&self, lane: Lane, commands: usize) {
        if let Some(gauge) = self.queued.get(lane.index()) {
            gauge.set(commands as f64);
        }
    }

    pub(crate) fn quarantined(&self) -> Quarantined {
        Quarantined {
            gauge: self.quarantined.clone(),
            users: 0,
        }
    }
}

/// What one lane adds to the gauge of quarantined users, and takes back when its state is dropped.
pub(crate) struct Quarantined {
    gauge: Gauge,
    users: u32,
}

impl Quarantined {
    pub(crate) fn add(&mut self, users: u32) {
        self.users += users;
        self.gauge.increment(f64::from(users));
    }

    pub(crate) fn remove(&mut self, users: u32) {
        self.users -= users;
        self.gauge.decrement(f64::from(users));
    }
}

impl Drop for Quarantined {
    fn drop(&mut self) {
        self.gauge.decrement(f64::from(self.users));
    }
}

impl PassedOn {
    fn new() -> Self {
        let counter = |outcome| metrics::counter!("foldline_passed_on_total", "outcome" => outcome);
        Self {
            answered: counter("answered"),
            not_taken: counter("not_taken"),
            unanswered: counter("unanswered"),
        }
    }
}

impl ContextMeters {
    fn new(context: &foldline_kernel::Context) -> Self {
        let context = context.to_string();
        let frequent = ["accepted", "replayed", "unchanged", "rejected"];
        Self {
            seconds: metrics::histogram!("foldline_command_seconds", "context" => context.clone()),
            outcomes: frequent
                .map(|outcome| (outcome, counter(&context, outcome)))
                .into_iter()
                .collect(),
            context,
        }
    }
}

fn counter(context: &str, outcome: &'static str) -> Counter {
    metrics::counter!("foldline_commands_total", "context" => context.to_owned(), "outcome" => outcome)
}
