//! Gives every event of a batch its place and its bytes, as every writer does.

use foldline_kernel::{Epoch, Lane, Topology};
use foldline_schema::{Event, NewEvent, Stamp, encode};

use crate::{Appended, Heads, Source, continuity::Parts};

/// A batch at the places that its writer gave it.
pub(crate) struct PlacedBatch {
    /// Each with the index of its context in the log's list.
    pub(crate) events: Vec<(usize, Event)>,
    /// The lane's end with this batch.
    pub(crate) heads: Heads,
    pub(crate) appended: Appended,
}

/// Places a batch after the lane's end.
///
/// # Errors
/// When some event cannot be in this lane, or a command is not whole: then nothing is placed.
pub(crate) fn place(
    topology: &Topology,
    lane: Lane,
    epoch: Epoch,
    mut heads: Heads,
    batch: Vec<NewEvent>,
) -> Result<PlacedBatch, Source> {
    let mut events = Vec::with_capacity(batch.len());
    let mut appended = Appended::default();
    let mut parts = Parts::default();
    for new in batch {
        let context = index_of(topology, &new.context)?;
        if topology.lane_of(new.subject) != lane {
            return Err(format!("user {} belongs to another lane", new.subject).into());
        }
        parts.admit(&new.command_id, new.command_part, true)?;
        let sequence = &mut heads.sequences[context];
        *sequence = sequence.next();
        heads.lane_sequence = heads.lane_sequence.next();
        appended.sequences.push(*sequence);
        let stamp = Stamp {
            sequence: *sequence,
            lane_sequence: heads.lane_sequence,
            epoch,
        };
        events.push((context, encode(&topology.name, new, stamp)));
    }
    parts.at_end()?;
    appended.lane_sequence = heads.lane_sequence;
    Ok(PlacedBatch {
        events,
        heads,
        appended,
    })
}

/// Returns the index of a context in the log's list.
pub(crate) fn index_of(
    topology: &Topology,
    context: &foldline_kernel::Context,
) -> Result<usize, Source> {
    topology
        .index_of(context)
        .ok_or_else(|| format!("the log has no context `{context}`").into())
}
