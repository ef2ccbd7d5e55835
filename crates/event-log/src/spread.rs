//! The port that spreads lanes over nodes, and tells who has which.

use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use foldline_kernel::{Epoch, Lane};
use tokio::sync::watch;

use crate::Source;

/// Spreads the lanes of a log over the nodes that write it.
///
/// ```text
///   node a    assigned 0 1 2 3 ──── revoked 2 3 ─ steps down ─┐
///   node b            joins ─────────────────────────────────┴ assigned 2 3
/// ```
///
/// An adapter MUST give each lane to one member at a time, as long as members answer; it MUST
/// wait for a member to step down before it gives the lane to another one, for a bounded time.
/// Nothing rests on it but speed: whoever opens a lane's writer fences the one before, whatever
/// either believes.
#[async_trait]
pub trait LaneSpread: Send + Sync + 'static {
    /// Becomes a member of a group, and is given lanes from then on.
    ///
    /// # Errors
    /// [`SpreadError`].
    async fn join(&self, membership: Membership) -> Result<Box<dyn Member>, SpreadError>;

    /// Returns who has announced itself last for each lane, as it changes.
    ///
    /// # Errors
    /// [`SpreadError`].
    async fn owners(&self) -> Result<watch::Receiver<Owners>, SpreadError>;
}

/// Which group, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The group; each lane has one member of it.
    pub group: String,
    /// A name that this member keeps over restarts, if it has one: a restart that takes less than
    /// the session's timeout then moves no lane. No two members can have the same one.
    pub instance: Option<String>,
}

/// A member of a group.
///
/// Dropping it leaves the group without waiting for anybody.
#[async_trait]
pub trait Member: Send {
    /// Waits for the next change; the first one comes once the group has decided.
    ///
    /// Cancel-safe: dropping the future loses no change.
    ///
    /// # Errors
    /// [`SpreadError`]; this membership is over, and every lane with it.
    async fn next(&mut self) -> Result<Change, SpreadError>;

    /// Begins to leave the group: the lanes are revoked, and what comes after that is
    /// [`Change::Left`].
    fn leave(&mut self);
}

/// What changes for a member.
#[derive(Debug)]
pub enum Change {
    /// These lanes are this member's: open their writers.
    Assigned(Vec<Lane>),
    /// These lanes go to other members, as soon as this one has stepped down.
    Revoked(Revoked),
    /// These lanes may be others' already: the group has not heard of this member for too long.
    Lost(Vec<Lane>),
    /// The member has left; nothing comes after it.
    Left,
}

/// Lanes that a member has to let go; dropping it says that it has.
#[derive(Debug)]
pub struct Revoked {
    /// The lanes.
    pub lanes: Vec<Lane>,
    // Whoever waits hears of its end.
    pub(crate) stepped_down: Option<mpsc::Sender<()>>,
}

impl Revoked {
    /// Says that the member has stepped down from these lanes.
    pub fn stepped_down(self) {
        if let Some(waiting) = &self.stepped_down {
            // Nobody waits any more: it took longer than the bound.
            let _ = waiting.send(());
        }
    }
}

/// Who has announced itself last, by lane.
pub type Owners = Arc<Vec<Option<LaneOwner>>>;

/// The writer that has announced itself last for a lane; it may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneOwner {
    /// Its generation.
    pub epoch: Epoch,
    /// Where its node takes commands, if other nodes can reach it.
    pub address: Option<String>,
}

/// Why lanes are not spread.
#[derive(Debug, thiserror::Error)]
pub enum SpreadError {
    /// Another member has taken this one's name.
    #[error("another member of the group `{group}` has this one's name; give each its own")]
    Replaced {
        /// The group.
        group: String,
    },
    /// The group cannot be reached, or refuses; join again later.
    #[error("the group `{group}` is not available")]
    Unavailable {
        /// The group.
        group: String,
        /// Why.
        source: Source,
    },
}
