//! The laws of [`EventLog`], which every adapter passes.
//!
//! An adapter gives a [`Harness`] and lets [`event_log_laws!`](crate::event_log_laws!) make one
//! test of each law:
//!
//! ```text
//! foldline_event_log::event_log_laws!(MyHarness);
//! ```
//!
//! The laws know nothing of an adapter but its port. What only it can do to its own storage, such
//! as damaging a record, it does through [`Site::damage`].

#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though they are no test target"
)]

mod damage;
mod following;
mod given;
mod opening;
mod property;
mod unknown;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Context, Lane, LaneSequence};
use foldline_schema::NewEvent;

pub use self::{
    damage::*, following::*, given::commands, given::event, opening::*, property::*, unknown::*,
    writing::*,
};
use crate::{EventLog, Source};

/// How the suite gets at an adapter.
pub trait Harness: Sync {
    /// Returns a fresh place for one log, where nothing is yet.
    fn site(&self) -> Box<dyn Site>;
}

/// A place for one log, which the suite opens, closes and opens again.
#[async_trait]
pub trait Site: Send + Sync {
    /// Opens the log with these contexts, creating it the first time, with [`LANES`] lanes.
    ///
    /// Before it opens the log again, the suite drops every handle, writer and follower it has.
    ///
    /// # Errors
    /// The adapter's own error; its text names what is wrong.
    async fn open(&self, contexts: &[Context]) -> Result<Arc<dyn EventLog>, Source>;

    /// Damages the log, which is not open, and tells whether this adapter can be damaged so.
    async fn damage(&self, damage: Damage) -> bool;
}

/// The number of lanes of every log of the suite.
pub const LANES: u16 = 4;

/// What can happen to stored records behind the back of an adapter.
#[derive(Clone, Debug)]
pub enum Damage {
    /// A bit of the event's bytes changes.
    Flip(Lane, LaneSequence),
    /// The record is gone, in the midst of its lane.
    Remove(Lane, LaneSequence),
    /// An event is appended past the checks of the adapter, as a torn transaction would leave it.
    Append(Lane, Box<NewEvent>),
}

/// Makes one test of each law, for an expression that gives a
/// [`Harness`](crate::conformance::Harness); the crate needs `tokio` among its
/// dev-dependencies.
#[macro_export]
macro_rules! event_log_laws {
    ($harness:expr) => {
        $crate::event_log_laws! { @each $harness;
            sequences_of_both_kinds_are_gapless_over_contexts
            a_batch_is_all_or_nothing_over_contexts
            an_empty_batch_takes_no_sequence
            lanes_do_not_wait_for_each_other
            a_replaced_writer_is_fenced_and_leaves_nothing
            an_append_in_flight_is_before_the_new_writer_or_never
            an_append_that_was_given_up_is_whole_or_absent
            a_follower_reads_to_the_tail_and_waits_there
            a_waiting_follower_is_woken
            a_follower_that_is_dropped_midway_loses_nothing
            every_follower_sees_the_same_events
            nothing_is_seen_before_it_is_durable
            a_checkpoint_of_another_log_is_refused
            a_place_beyond_the_tail_is_refused
            a_lane_is_not_followed_from_a_checkpoint_of_some_contexts
            an_unknown_outcome_is_settled_by_command_id
            random_faults_lose_and_double_nothing
            what_was_appended_is_there_after_reopening
            a_log_does_not_open_without_one_of_its_contexts
            a_new_context_starts_at_one
            a_damaged_record_is_told_where_it_lies
            a_missing_record_is_told
            a_torn_command_is_told
            followers_start_anywhere
        }
    };
    (@each $harness:expr; $($law:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                $crate::conformance::$law(&$harness).await;
            }
        )*
    };
}
