//! The log port: what every adapter promises.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{
    Checkpoint, Context, Epoch, Lane, LaneSequence, Position, Sequence, Topology,
};
use foldline_schema::{DecodeError, Event, NewEvent};

/// The ground state: committed events in lanes, each with one writer.
///
/// ```text
///   lane 3        1   2   3   4   5 │ 6   7
///   orders/3      1   ·   2   3   · │ 4   ·
///   payments/3    ·   1   ·   ·   2 │ ·   3
///                         durable ──┘ └── being appended: nobody sees it yet
/// ```
///
/// An adapter MUST give gapless sequences of both kinds, MUST make an append all or nothing over
/// every context of the lane, and MUST NOT yield an event that is not yet durable. Its
/// conformance is checked by one suite (`conformance`), which every adapter runs.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Returns the shape of the log.
    fn topology(&self) -> &Topology;

    /// Becomes the writer of a lane.
    ///
    /// After it returns, nothing from an earlier writer MUST become visible, and the heads of
    /// the returned writer are the end of the lane: whoever holds it may read up to there and
    /// then serve.
    ///
    /// What it announces of itself MUST be there for other nodes before it returns, where the
    /// log has any; an adapter of one process MAY ignore it.
    ///
    /// # Errors
    /// [`OpenWriterError`]; a log that has contexts this binary lacks refuses to be opened at
    /// all, long before.
    async fn open_writer(
        &self,
        lane: Lane,
        announcement: Announcement,
    ) -> Result<Box<dyn LaneWriter>, OpenWriterError>;

    /// Follows one context's partition in position order.
    ///
    /// # Errors
    /// [`FollowError::Corrupt`] when `from` is of another log, or beyond the tail.
    async fn follow(
        &self,
        context: &Context,
        partition: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError>;

    /// Follows a lane, all contexts merged by lane sequence.
    ///
    /// # Errors
    /// As [`Self::follow`]. `From::After` a checkpoint of some contexts only is refused: such a
    /// reader has not absorbed the others.
    async fn follow_lane(&self, lane: Lane, from: From) -> Result<Box<dyn Follower>, FollowError>;

    /// Returns the end of a lane as it stands now: everything up to there is durable.
    async fn heads(&self, lane: Lane) -> Result<Heads, FollowError>;
}

/// What a writer says of itself to other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Where its node takes commands, such as `http://10.0.0.7:8080`; `None` where no other node
    /// can reach it.
    pub address: Option<String>,
}

/// The one writer of a lane, until it is replaced.
#[async_trait]
pub trait LaneWriter: Send {
    /// Returns the lane.
    fn lane(&self) -> Lane;

    /// Returns this writer's generation.
    fn epoch(&self) -> Epoch;

    /// Returns the end of the lane as this writer last knew it.
    fn heads(&self) -> &Heads;

    /// Appends events of any contexts of the lane: all or nothing, durable when it returns.
    ///
    /// An empty batch proves that this writer still owns the lane, and takes no sequence.
    ///
    /// # Errors
    /// [`AppendError`]. After `Unknown` or `Fenced` the writer MUST NOT be used again: whoever
    /// opens the next one reads the tail and looks for the batch by command id.
    async fn append(&mut self, batch: Vec<NewEvent>) -> Result<Appended, AppendError>;
}

/// A reader of committed events that waits at the tail.
#[async_trait]
pub trait Follower: Send {
    /// Waits until there is an event, then returns up to `limit` of them, in order.
    ///
    /// Cancel-safe: dropping the future loses no event.
    ///
    /// # Errors
    /// [`FollowError::Corrupt`] on a gap, a repeat, a step back, a torn command, or a record
    /// that is damaged; it says where and is final for this follower.
    async fn next_batch(&mut self, limit: usize) -> Result<Vec<Arc<Event>>, FollowError>;

    /// Returns the place after the last event that was yielded.
    fn checkpoint(&self) -> &Checkpoint;

    /// Returns the end of the lane as it stands now, without waiting.
    fn heads(&self) -> Heads;
}

/// Where a follower starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first event.
    Beginning,
    /// After what a reader has absorbed.
    After(Checkpoint),
    /// At a sequence of the followed partition (`follow` only), whatever came before.
    Sequence(Sequence),
    /// At a lane sequence (`follow_lane` only), whatever came before.
    LaneSequence(LaneSequence),
}

/// The end of a lane: its last lane sequence, and the last sequence of each context in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The last lane sequence (0: the lane is empty).
    pub lane_sequence: LaneSequence,
    /// The last sequence per context, in the order of [`Topology::contexts`].
    pub sequences: Vec<Sequence>,
}

/// What an append did: the sequences its events got, in the order of the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of each event in its partition.
    pub sequences: Vec<Sequence>,
    /// The lane's last lane sequence after the append.
    pub lane_sequence: LaneSequence,
}

/// The source of an error, for logs.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a lane has no new writer.
#[derive(Debug, thiserror::Error)]
pub enum OpenWriterError {
    /// The lane cannot be reached; try again later.
    #[error("the writer of lane {lane} cannot be opened now")]
    Unavailable {
        /// The lane.
        lane: Lane,
        /// Why.
        source: Source,
    },
    /// The lane's stored data breaks an invariant; it stays closed.
    #[error("lane {lane} is corrupt: {trouble}")]
    Corrupt {
        /// The lane.
        lane: Lane,
        /// What is broken, and where.
        trouble: String,
    },
}

/// Why an append did not return its sequences.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer has taken the lane; whether the batch became durable before is unknown.
    #[error("the writer of lane {lane} with epoch {epoch} has been replaced")]
    Fenced {
        /// The lane.
        lane: Lane,
        /// The epoch of the writer that was replaced.
        epoch: Epoch,
    },
    /// Whether the batch became durable is unknown; its command ids settle it.
    #[error("the outcome of an append to lane {lane} is unknown")]
    Unknown {
        /// The lane.
        lane: Lane,
        /// Why.
        source: Source,
    },
    /// Certainly nothing was appended.
    #[error("lane {lane} takes no append now")]
    Unavailable {
        /// The lane.
        lane: Lane,
        /// Why.
        source: Source,
    },
}

/// Why a follower cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The log cannot be read now; try again later.
    #[error("lane {lane} cannot be read now")]
    Unavailable {
        /// The lane.
        lane: Lane,
        /// Why.
        source: Source,
    },
    /// What was read breaks an invariant of the log; this partition stops.
    #[error("lane {lane} is corrupt {place}: {corruption}")]
    Corrupt {
        /// The lane.
        lane: Lane,
        /// Where, as exactly as it is known.
        place: Place,
        /// What is wrong.
        corruption: Corruption,
    },
}

/// Where in a lane something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a position, where the envelope could be read.
    Position(Position, LaneSequence),
    /// At a lane sequence.
    LaneSequence(LaneSequence),
    /// Where this position had to come.
    Expected(Position),
    /// At the end of a context's partition.
    End(Context),
    /// In the checkpoint a follower was to start from.
    Checkpoint(Box<Checkpoint>),
}

impl Place {
    /// Returns the place of an event.
    pub(crate) fn of(lane: Lane, event: &Event) -> Self {
        let position = Position {
            context: event.context.clone(),
            partition: lane,
            sequence: event.sequence,
        };
        Self::Position(position, event.lane_sequence)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Position(position, lane) => write!(f, "at {position} (lane sequence {lane})"),
            Self::LaneSequence(lane) => write!(f, "at lane sequence {lane}"),
            Self::Expected(position) => write!(f, "where {position} had to come"),
            Self::End(context) => write!(f, "at the end of `{context}`"),
            Self::Checkpoint(at) => write!(
                f,
                "after the checkpoint at lane sequence {}",
                at.lane_sequence
            ),
        }
    }
}

/// What breaks an invariant of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A sequence does not follow the one before.
    #[error("expected {expected} {kind}, found {found}")]
    Sequence {
        /// Which sequence: `sequence` or `lanesequence`.
        kind: &'static str,
        /// The one that had to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A command's events are not all there.
    #[error("command {command_id} is torn: part {found} where {expected} had to come")]
    TornCommand {
        /// The idempotency key.
        command_id: String,
        /// The part that had to come.
        expected: String,
        /// The part that came.
        found: String,
    },
    /// The record's checksum is not that of its bytes, or it has been cut off.
    #[error("the record is damaged: {0}")]
    Record(String),
    /// The record is no event.
    #[error(transparent)]
    Envelope(#[from] DecodeError),
    /// Events that were acknowledged are not there.
    #[error("the log ends at lane sequence {found}, though {acknowledged} was acknowledged")]
    CutOff {
        /// The last lane sequence there is.
        found: LaneSequence,
        /// The last one that had been acknowledged.
        acknowledged: LaneSequence,
    },
    /// The checkpoint is of another log.
    #[error("it belongs to another log")]
    OtherLog,
    /// The checkpoint lies beyond the tail.
    #[error("it lies beyond the tail at {0}")]
    BeyondTail(LaneSequence),
    /// The checkpoint does not cover what is followed.
    #[error("it does not cover the context `{0}`")]
    OtherContexts(Context),
}
