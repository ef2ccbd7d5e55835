//! What a stretch of one lane does to the rows of a model.

use std::panic::{AssertUnwindSafe, catch_unwind};

use foldline_kernel::{Checkpoint, Lane, LaneSequence, Position, UserId};
use foldline_read_model::{Change, FoldError, Model, RowKey};
use foldline_schema::{Catalog, Event, UnknownType};
use foldline_tables::Parked;

/// Some events of one lane, folded one by one, in order.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The place after the last event; who fills the chunk moves it, once.
    pub(crate) checkpoint: Checkpoint,
    /// What the events do, in their order; a row may come several times.
    pub(crate) changes: Vec<(RowKey, Change)>,
    /// Users whom one of the events parked.
    pub(crate) parked: Vec<Parked>,
    /// How many events the lane moved on by, those that do nothing included.
    pub(crate) events: usize,
    /// What the changes hold beside themselves, roughly counted.
    pub(crate) bytes: usize,
    /// Of a chunk of one event: whom a failed commit blames.
    pub(crate) sole: Option<Blame>,
}

/// An event that can be blamed for a failure.
#[derive(Clone, Debug)]
pub(crate) struct Blame {
    pub(crate) user: UserId,
    pub(crate) position: Position,
    pub(crate) lane_sequence: LaneSequence,
}

impl Blame {
    pub(crate) fn of(event: &Event, lane: Lane) -> Self {
        Self {
            user: event.subject,
            position: Position {
                context: event.context.clone(),
                partition: lane,
                sequence: event.sequence,
            },
            lane_sequence: event.lane_sequence,
        }
    }

    /// Holds the event's user back from it on.
    pub(crate) fn parks(&self, reason: String) -> Parked {
        Parked {
            user: self.user,
            lane: self.position.partition,
            position: self.position.clone(),
            lane_sequence: self.lane_sequence,
            reason,
        }
    }
}

impl Chunk {
    /// Begins at a place, with room for about so many changes.
    pub(crate) fn after(checkpoint: Checkpoint, changes: usize) -> Self {
        Self {
            checkpoint,
            changes: Vec::with_capacity(changes),
            parked: Vec::new(),
            events: 0,
            bytes: 0,
            sole: None,
        }
    }

    /// Moves on past an event; what it does, if anything, is among the changes.
    pub(crate) fn passes(&mut self, event: &Event) {
        self.events += 1;
        self.sole = (self.events == 1).then(|| Blame::of(event, self.checkpoint.lane));
    }
}

/// Folds one event; where that fails, `done` is as it was.
///
/// A panic comes from an upcast of the application; it is the fault of the event's data as any
/// other failure of it is, and concerns its user alone.
///
/// # Errors
/// As [`Model::fold`].
pub(crate) fn fold(
    model: &Model,
    catalog: &Catalog,
    event: &Event,
    done: &mut Vec<(RowKey, Change)>,
) -> Result<(), FoldError> {
    let before = done.len();
    let fold = || model.fold_into(catalog, event, done);
    catch_unwind(AssertUnwindSafe(fold)).unwrap_or_else(|_| {
        done.truncate(before);
        Err(FoldError::Unfit("the event's upcast panicked".into()))
    })
}

/// Says why a model stops at a type.
pub(crate) fn unknown(unknown: &UnknownType, at: &Position) -> String {
    format!("{unknown}, at {at}: a newer version of it appends to this log, so it goes on there")
}
