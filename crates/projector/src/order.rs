//! What a projector checks itself of what it is given.

use foldline_event_log::Corruption;
use foldline_kernel::Checkpoint;
use foldline_schema::Event;

/// Tells whether an event is the one that must come after a checkpoint.
///
/// The log's followers check the same. It is checked again because an effect that is there
/// twice, or not at all, cannot be seen in a table afterwards.
///
/// # Errors
/// [`Corruption::Sequence`] on a gap, a repeat or a step back.
pub(crate) fn follows(at: &Checkpoint, event: &Event, whole_lane: bool) -> Result<(), Corruption> {
    let wrong = |kind, expected, found| {
        Err(Corruption::Sequence {
            kind,
            expected,
            found,
        })
    };
    let (expected, found) = (at.lane_sequence.next(), event.lane_sequence);
    if found < expected || (whole_lane && found > expected) {
        return wrong("lanesequence", expected.0, found.0);
    }
    let (expected, found) = (at.sequence(&event.context).next(), event.sequence);
    if found != expected {
        return wrong("sequence", expected.0, found.0);
    }
    Ok(())
}
