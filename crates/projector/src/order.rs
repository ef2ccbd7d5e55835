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

/// Tells whether a reader that has seen every event stands where the log says it does.
///
/// # Errors
/// [`Corruption::Sequence`] when the log has passed an event by, or holds one back.
pub(crate) fn reached(at: &Checkpoint, yielded: &Checkpoint) -> Result<(), Corruption> {
    for (context, sequence) in &yielded.sequences {
        let seen = at.sequence(context);
        if seen != *sequence {
            return wrong("sequence", seen.next().0, sequence.next().0);
        }
    }
    let (seen, said) = (at.lane_sequence, yielded.lane_sequence);
    if seen != said {
        return wrong("lanesequence", seen.next().0, said.next().0);
    }
    Ok(())
}

fn wrong(kind: &'static str, expected: u64, found: u64) -> Result<(), Corruption> {
    Err(Corruption::Sequence {
        kind,
        expected,
        found,
    })
}
