//! Whose turn it is, of the attempts that other nodes make for one command.
//!
//! A node that passes a command on and hears nothing tries again, while its first attempt may
//! still be on its way. What must not be: the later attempt is refused, its caller is told so,
//! and then the earlier one arrives, finds another state and takes effect. That an attempt `n` was
//! refused by the writer of epoch `e` rules out every attempt `m < n` of the same trip, meant for
//! the writer of epoch `d`:
//!
//! - `d < e`: only the writer of epoch `d` decides it, and its appends could become visible only
//!   before `e` was opened. If one did, `e` has the key in its state, which was read to the end
//!   afterwards, and answers `n` as accepted: it would not have refused.
//! - `d > e`: the node that sent `m` had heard of `d`, so `d` had taken the lane over before `n`
//!   was decided. A refusal waits for an append that began after it, and that of a writer which
//!   has been replaced fails: `e` could not have refused.
//! - `d = e`: one task decides both, one after the other. `m` before `n`: then `n` finds the key,
//!   or `m` left nothing. `m` after `n`: `n` is remembered here, and `m` is not taken.
//!
//! The node that passes on may itself become the owner and refuse; then `d` and `e` differ, since
//! no attempt of its own was ever sent to it. Nobody waits for an attempt that is out of turn.
//!
//! Of a first attempt nothing is remembered, so where no connection breaks this costs nothing.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use foldline_kernel::Epoch;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::{Submission, serving::Serving};
use crate::{Answer, CommandError, Hop};

/// How many refused attempts are remembered; one more is not refused but told to come again.
const REMEMBERED_MAX: usize = 4096;
/// How long one is remembered, in terms of the longest that a command may take: its attempts are
/// all sent within one such time, and what a network delivers later than twice that again is no
/// connection any more.
const REMEMBERED_TIMEOUTS: u32 = 3;

/// The attempts that one writer of a lane has refused though earlier ones may be on their way.
pub(super) struct Turns {
    epoch: Epoch,
    /// By trip.
    refused: FxHashMap<Uuid, u32>,
    /// Each with the time from which it can be forgotten, oldest first.
    forget: VecDeque<(Instant, Uuid)>,
    remembered_for: Duration,
}

/// As many refusals are remembered as can be.
#[derive(Debug)]
pub(super) struct NoRoom;

impl Turns {
    pub(super) fn new(epoch: Epoch, command_timeout: Duration) -> Self {
        Self {
            epoch,
            refused: FxHashMap::default(),
            forget: VecDeque::new(),
            remembered_for: command_timeout * REMEMBERED_TIMEOUTS,
        }
    }

    /// Tells whether this writer may decide an attempt.
    pub(super) fn is_up(&self, hop: &Hop) -> bool {
        let refused = self.refused.get(&hop.trip);
        hop.epoch == self.epoch && refused.is_none_or(|refused| hop.attempt >= *refused)
    }

    /// Notes that an attempt has left nothing and its caller will hear so.
    pub(super) fn refuse(&mut self, hop: &Hop) -> Result<(), NoRoom> {
        if hop.attempt < 2 {
            return Ok(());
        }
        let now = Instant::now();
        while let Some((_, trip)) = self.forget.pop_front_if(|(from, _)| *from <= now) {
            self.refused.remove(&trip);
        }
        if let Some(refused) = self.refused.get_mut(&hop.trip) {
            *refused = hop.attempt.max(*refused);
            return Ok(());
        }
        if self.forget.len() >= REMEMBERED_MAX {
            return Err(NoRoom);
        }
        self.refused.insert(hop.trip, hop.attempt);
        self.forget.push_back((now + self.remembered_for, hop.trip));
        Ok(())
    }
}

impl Serving<'_> {
    /// Refuses an attempt that is out of turn, after its key has been looked for: an answer that
    /// was given before may be given to anybody.
    pub(super) fn check_turn(&self, submission: &Submission) -> Result<(), CommandError> {
        match submission.request.passed_on {
            Some(hop) if !self.turns.is_up(&hop) => Err(CommandError::Elsewhere {
                lane: self.task.lane,
                maybe_taken: submission.maybe_appended,
            }),
            _ => Ok(()),
        }
    }

    /// Remembers an attempt that comes to nothing; where it cannot be, there is no decision.
    pub(super) fn in_turn(
        &mut self,
        submission: &Submission,
        answer: Result<Answer, CommandError>,
    ) -> Result<Answer, CommandError> {
        let Some(hop) = &submission.request.passed_on else {
            return answer;
        };
        let leaves_nothing = !matches!(
            answer,
            Ok(Answer::Accepted(_)) | Err(CommandError::Elsewhere { .. })
        );
        if leaves_nothing && self.turns.refuse(hop).is_err() {
            return Err(CommandError::Overloaded {
                lane: self.task.lane,
                queued: REMEMBERED_MAX,
            });
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(trip: u128, attempt: u32, epoch: u32) -> Hop {
        Hop {
            trip: Uuid::from_u128(trip),
            attempt,
            epoch: Epoch(epoch),
        }
    }

    #[test]
    fn what_comes_after_a_later_attempt_was_refused_is_out_of_turn() {
        let mut turns = Turns::new(Epoch(3), Duration::from_secs(10));
        assert!(turns.is_up(&hop(1, 1, 3)));
        turns.refuse(&hop(1, 3, 3)).unwrap();
        assert!(!turns.is_up(&hop(1, 1, 3)) && !turns.is_up(&hop(1, 2, 3)));
        assert!(turns.is_up(&hop(1, 3, 3)) && turns.is_up(&hop(1, 4, 3)));
        assert!(turns.is_up(&hop(2, 1, 3)), "another trip");
        assert!(!turns.is_up(&hop(2, 1, 2)) && !turns.is_up(&hop(2, 1, 4)));
    }

    #[test]
    fn of_first_attempts_nothing_is_remembered() {
        let mut turns = Turns::new(Epoch(3), Duration::from_secs(10));
        turns.refuse(&hop(1, 1, 3)).unwrap();
        assert!(turns.refused.is_empty() && turns.forget.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_gives_room_after_a_while() {
        let mut turns = Turns::new(Epoch(3), Duration::from_secs(1000));
        for trip in 0..REMEMBERED_MAX {
            turns.refuse(&hop(trip as u128, 2, 3)).unwrap();
        }
        assert!(turns.refuse(&hop(u128::MAX, 2, 3)).is_err());
        for (from, _) in &mut turns.forget {
            *from = Instant::now();
        }
        turns.refuse(&hop(u128::MAX, 2, 3)).unwrap();
        assert_eq!((turns.refused.len(), turns.forget.len()), (1, 1));
    }
}
