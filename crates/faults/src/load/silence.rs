//! For how long a lane gave no answer while somebody waited for one.

use std::time::{Duration, Instant};

/// The silence of one lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    waiting: usize,
    /// Since when: the last answer, or the first caller after a time without any.
    since: Instant,
    longest: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            waiting: 0,
            since: Instant::now(),
            longest: Duration::ZERO,
        }
    }
}

impl Silence {
    pub(super) fn asked(&mut self, now: Instant) {
        if self.waiting == 0 {
            self.since = now;
        }
        self.waiting += 1;
    }

    /// Somebody waits no longer, with an answer or without.
    pub(super) fn left(&mut self, now: Instant, answered: bool) {
        self.waiting -= 1;
        if answered {
            self.longest = self.longest(now, true);
            self.since = now;
        }
    }

    /// The longest silence, the present one included.
    pub(super) fn longest(&self, now: Instant, waiting: bool) -> Duration {
        if self.waiting == 0 && !waiting {
            return self.longest;
        }
        self.longest.max(now.saturating_duration_since(self.since))
    }

    /// Begins anew.
    pub(super) fn reset(&mut self, now: Instant) {
        self.longest = Duration::ZERO;
        self.since = now;
    }

    /// Whether an answer has come since a moment.
    pub(super) fn answered_since(&self, moment: Instant) -> bool {
        self.waiting == 0 || self.since > moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_nobody_asks_is_not_silent() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut lane = Silence::default();
        lane.reset(began);
        lane.asked(at(1000));
        lane.left(at(1010), true);
        assert_eq!(lane.longest(at(5000), false), Duration::from_millis(10));
        lane.asked(at(5000));
        lane.asked(at(5100));
        lane.left(at(5200), false);
        assert_eq!(lane.longest(at(5300), false), Duration::from_millis(300));
        assert!(!lane.answered_since(at(5250)));
    }
}
