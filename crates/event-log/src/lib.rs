//! The log: ground state of everything else.
//!
//! [`EventLog`] is the port; [`embedded`] keeps the log in one directory of one process and
//! [`faulty`] wraps any adapter to inject faults. An adapter knows events, places and writers; it
//! knows no command, no state and no read model. Every adapter passes the same suite,
//! `conformance` (behind the feature of that name).
//!
//! Start reading at [`EventLog`] in `port.rs`, whose picture shows lanes and partitions.

#[cfg(feature = "conformance")]
pub mod conformance;
mod continuity;
pub mod embedded;
pub mod faulty;
mod port;
mod snapshots;

pub use embedded::Embedded;
pub use port::{
    AppendError, Appended, Corruption, EventLog, FollowError, Follower, From, Heads, LaneWriter,
    OpenWriterError, Place, Source,
};
pub use snapshots::{Snapshot, SnapshotError, SnapshotStore};
