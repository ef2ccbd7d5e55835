//! How old the oldest event is that a generation has not absorbed.

use std::time::{Duration, Instant};

use crate::feeds::{Checkpoints, Ends, Feeds};

/// Measures lag by goals: the end of the log as of some moment. Once a generation has reached
/// one, it is known to hold everything the log held at that moment.
///
/// The resolution is the interval between samples; under constant traffic a generation that
/// keeps up shows about that much.
#[derive(Debug)]
pub(crate) struct Lag {
    /// The latest moment of which everything has been absorbed.
    fresh_as_of: Instant,
    goal: Option<(Instant, Ends)>,
}

impl Lag {
    /// Begins at a moment before which nothing is known.
    pub(crate) fn since(now: Instant) -> Self {
        Self {
            fresh_as_of: now,
            goal: None,
        }
    }

    /// Takes a sample and returns the lag, zero where nothing is missing.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        feeds: &Feeds,
        ends: &Ends,
        at: &Checkpoints,
    ) -> Duration {
        if feeds.behind(ends, at) == 0 {
            self.fresh_as_of = now;
            self.goal = None;
            return Duration::ZERO;
        }
        match &self.goal {
            Some((moment, goal)) if feeds.behind(goal, at) == 0 => {
                self.fresh_as_of = *moment;
                self.goal = Some((now, ends.clone()));
            }
            Some(_) => {}
            None => self.goal = Some((now, ends.clone())),
        }
        now.saturating_duration_since(self.fresh_as_of)
    }
}
