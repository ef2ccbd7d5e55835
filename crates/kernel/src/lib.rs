//! The words every other crate speaks: who (ids), where (positions, lanes, checkpoints), and
//! how a decision is made ([`Decider`]).
//!
//! The kernel knows no storage, no wire format and no clock: time and fresh ids are inputs of
//! a decision, never taken inside it.
//!
//! ```text
//!   lane 3 of the log            orders/3            payments/3
//!   lane sequence  1 2 3 4 5     sequence 1 . 2 3 .  sequence . 1 . . 2
//! ```
//!
//! A *lane* is one ordered log that contexts cut into partitions: every event has a gapless
//! [`LaneSequence`] in its lane and a gapless [`Sequence`] in its partition. The [`Version`]
//! of a stream counts one user's events in one context.
//!
//! Start reading at [`decider`], then [`position`].

mod caller;
mod checkpoint;
pub mod commands;
mod context;
pub mod decider;
mod ids;
mod murmur2;
mod personal;
pub mod position;
mod rejections;
mod situation;
pub mod spec;
mod strict;
mod time;
mod topology;

pub use caller::{Caller, Right};
pub use checkpoint::Checkpoint;
pub use commands::{Commands, Malformed};
pub use context::{Context, InvalidContext};
pub use decider::{Decider, Rejection, RejectionKind};
pub use ids::{CommandId, EventId, InvalidCommandId, LogId, UserId};
pub use murmur2::murmur2;
pub use personal::Personal;
pub use position::{Epoch, InvalidPosition, Lane, LaneSequence, Position, Sequence, Version};
pub use rejections::ListedRejection;
pub use situation::{OtherStates, Situation};
pub use time::{InvalidTimestamp, Timestamp};
pub use topology::{InvalidTopology, Topology};

/// Used by the macros of this crate and of `foldline-schema`; not for direct use.
#[doc(hidden)]
pub mod private {
    pub use serde_json;
    pub use serde_path_to_error;
}
