//! How often a user's commands are let in.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use foldline_kernel::UserId;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

/// After how many commands those users are forgotten who have been quiet.
const SWEEP_COMMANDS: u32 = 16_384;
/// The longest that a user is remembered: how long a burst takes to be made up for.
pub const WINDOW_MAX: Duration = Duration::from_secs(60);

/// A bound of the commands of each user, as a leaky bucket (GCRA).
pub struct Rates {
    limiter: DefaultKeyedRateLimiter<UserId>,
    clock: DefaultClock,
    until_sweep: AtomicU32,
}

impl Rates {
    /// Lets in so many commands of a user per second, and so many at once; `None` where the burst
    /// would take longer than [`WINDOW_MAX`] to be made up for.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Option<Self> {
        let window = f64::from(burst.get()) / f64::from(per_second.get());
        if window > WINDOW_MAX.as_secs_f64() {
            return None;
        }
        Some(Self {
            limiter: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)),
            clock: DefaultClock::default(),
            until_sweep: AtomicU32::new(SWEEP_COMMANDS),
        })
    }

    /// Counts a command in, or tells how long to wait.
    ///
    /// What is remembered is bounded: the users of [`SWEEP_COMMANDS`] commands and of one window.
    pub(crate) fn admit(&self, user: UserId) -> Result<(), Duration> {
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.until_sweep.store(SWEEP_COMMANDS, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
        let checked = self.limiter.check_key(&user);
        checked.map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use foldline_kernel::UserId;

    use super::*;

    fn user(number: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn each_user_has_a_burst_and_is_told_how_long_to_wait() {
        let [one, three] = [1, 3].map(|n| NonZeroU32::new(n).unwrap());
        let rates = Rates::new(one, three).unwrap();
        for _ in 0..3 {
            rates.admit(user(1)).unwrap();
        }
        let wait = rates.admit(user(1)).unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        rates.admit(user(2)).unwrap();
    }

    #[test]
    fn quiet_users_are_forgotten() {
        let [many, one] = [1_000_000, 1].map(|n| NonZeroU32::new(n).unwrap());
        let rates = Rates::new(many, one).unwrap();
        for number in 0..u128::from(4 * SWEEP_COMMANDS) {
            let _ = rates.admit(user(number));
        }
        let known = rates.limiter.len();
        assert!(known <= 2 * SWEEP_COMMANDS as usize, "{known}");
    }

    #[test]
    fn nobody_is_remembered_for_long() {
        let [one, many] = [1, 61].map(|n| NonZeroU32::new(n).unwrap());
        assert!(Rates::new(one, many).is_none());
    }
}
