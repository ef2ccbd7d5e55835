//! The log: ground state of everything else.
//!
//! [`EventLog`] is the port; [`embedded`] keeps the log in one directory of one process, and
//! [`faulty`] wraps any adapter to inject faults. An adapter knows events, places and writers; it
//! knows no command, no state and no read model. Every adapter passes the same suite,
//! `conformance` (behind the feature of that name).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use foldline_event_log::{Announcement, Embedded, EventLog, From, embedded::Settings};
//! use foldline_kernel::Lane;
//!
//! let dir = tempfile::tempdir()?;
//! let contexts = vec!["orders".parse()?, "payments".parse()?];
//! let settings = Settings { name: "market".parse()?, lanes: Settings::LANES, contexts };
//! let log = Embedded::open(dir.path(), settings)?;
//!
//! let mut writer = log.open_writer(Lane(3), Announcement::default()).await?;
//! writer.append(vec![]).await?; // it still owns the lane
//! let follower = log.follow_lane(Lane(3), From::Beginning).await?;
//! assert_eq!(follower.heads(), *writer.heads());
//! # Ok(())
//! # }
//! ```
//!
//! Start reading at [`EventLog`] in `port.rs`, whose picture shows lanes and partitions.

mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
mod continuity;
pub mod embedded;
pub mod faulty;
pub mod kafka;
mod places;
mod port;
mod snapshots;
mod spread;

pub use embedded::Embedded;
pub use port::{
    Announcement, AppendError, Appended, Corruption, EventLog, FollowError, Follower, From, Heads,
    LaneWriter, OpenWriterError, Place, Source,
};
pub use snapshots::{Snapshot, SnapshotError, SnapshotStore};
pub use spread::{Change, LaneOwner, LaneSpread, Member, Membership, Owners, Revoked, SpreadError};
