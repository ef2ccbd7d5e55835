//! The log: ground state of everything else.
//!
//! [`EventLog`] is the port; [`embedded`] keeps the log in one directory of one process. An
//! adapter knows events, places and writers; it knows no command, no state and no read model.
//!
//! Start reading at [`EventLog`] in `port.rs`, whose picture shows lanes and partitions.

mod port;
mod snapshots;

pub use port::{
    AppendError, Appended, Corruption, EventLog, FollowError, Follower, From, Heads, LaneWriter,
    OpenWriterError, Place, Source,
};
pub use snapshots::{Snapshot, SnapshotError, SnapshotStore};
