//! What a stretch of one lane does to the rows of a model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use foldline_kernel::{Checkpoint, Lane, LaneSequence, Position, UserId};
use foldline_read_model::{Change, FoldError, Model, RowKey};
use foldline_schema::{Catalog, Event, UnknownType};
use foldline_tables::Parked;

/// Some events of one lane, folded one by one, in order.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The place after the last event.
    pub(crate) checkpoint: Checkpoint,
    /// What the events do, in their order; a row may come several times.
    pub(crate) changes: Vec<(RowKey, Change)>,
    /// Users whom one of the events parked.
    pub(crate) parked: Vec<Parked>,
    /// How many events the lane moved on by, those that do nothing included.
    pub(crate) events: usize,
    /// How large their records are.
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
    /// Begins at a place.
    pub(crate) fn after(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint,
            changes: Vec::new(),
            parked: Vec::new(),
            events: 0,
            bytes: 0,
            sole: None,
        }
    }

    /// Takes the next event; what it does is known already.
    pub(crate) fn takes(&mut self, event: &Event, done: Vec<(RowKey, Change)>) {
        self.passes(event);
        self.changes.extend(done);
    }

    /// Moves on past an event that does nothing.
    pub(crate) fn passes(&mut self, event: &Event) {
        self.events += 1;
        self.bytes += event.record.len();
        self.sole = (self.events == 1).then(|| Blame::of(event, self.checkpoint.lane));
        self.checkpoint
            .advance(&event.context, event.sequence, event.lane_sequence);
    }
}

/// Folds one event.
///
/// A panic comes from an upcast of the application; it is the fault of the event's data as any
/// other failure of it is, and concerns its user alone.
///
/// # Errors
/// As [`Model::fold`].
pub(crate) fn fold(
    model: &Model,
    catalog: &Catalog,
    event: &Arc<Event>,
) -> Result<Vec<(RowKey, Change)>, FoldError> {
    // At the tail several read models share an event; a rebuild reads each for itself alone.
    let fold = match Arc::strong_count(event) {
        1 => Model::fold_alone,
        _ => Model::fold,
    };
    catch_unwind(AssertUnwindSafe(|| fold(model, catalog, event)))
        .unwrap_or_else(|_| Err(FoldError::Unfit("the event's upcast panicked".into())))
}

/// Says why a model stops at a type.
pub(crate) fn unknown(unknown: &UnknownType, at: &Position) -> String {
    format!("{unknown}, at {at}: a newer version of it appends to this log, so it goes on there")
}
