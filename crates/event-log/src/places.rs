//! Where followers may start: what every adapter checks before it reads anything.

use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence, Topology};

use crate::{Corruption, FollowError, Heads, Place};

/// A checkpoint of another log or beyond the tail is corrupt: waiting would not mend it.
pub(crate) fn check(
    topology: &Topology,
    lane: Lane,
    at: &Checkpoint,
    end: &Heads,
) -> Result<(), FollowError> {
    if at.log_id != topology.log_id || at.lane != lane {
        return Err(refused(lane, at.clone(), Corruption::OtherLog));
    }
    if is_beyond(topology, at, end) {
        let corruption = Corruption::BeyondTail(end.lane_sequence);
        return Err(refused(lane, at.clone(), corruption));
    }
    Ok(())
}

fn is_beyond(topology: &Topology, at: &Checkpoint, end: &Heads) -> bool {
    let mut contexts = topology.contexts.iter().zip(&end.sequences);
    at.lane_sequence > end.lane_sequence
        || contexts.any(|(context, last)| at.sequence(context) > *last)
}

/// Checks that a context can be gone on with from a checkpoint.
pub(crate) fn check_context(
    topology: &Topology,
    lane: Lane,
    context: &Context,
    at: &Checkpoint,
    end: &Heads,
) -> Result<(), FollowError> {
    check(topology, lane, at, end)?;
    if at.sequences.iter().all(|(known, _)| known != context) && !is_whole(at) {
        let corruption = Corruption::OtherContexts(context.clone());
        return Err(refused(lane, at.clone(), corruption));
    }
    Ok(())
}

/// Checks that a whole lane can be gone on with from a checkpoint.
pub(crate) fn check_lane(
    topology: &Topology,
    lane: Lane,
    at: &Checkpoint,
    end: &Heads,
) -> Result<(), FollowError> {
    check(topology, lane, at, end)?;
    if !is_whole(at) {
        let corruption = partial(&topology.contexts, at);
        return Err(refused(lane, at.clone(), corruption));
    }
    Ok(())
}

/// Each event has one lane sequence and one sequence, so a checkpoint that covers every context
/// of its lane adds up.
fn is_whole(at: &Checkpoint) -> bool {
    let absorbed: u64 = at.sequences.iter().map(|(_, sequence)| sequence.0).sum();
    absorbed == at.lane_sequence.0
}

/// Names the context that a checkpoint leaves out.
fn partial(contexts: &[Context], at: &Checkpoint) -> Corruption {
    let covers = |context: &Context| at.sequences.iter().any(|(known, _)| known == context);
    match contexts.iter().find(|context| !covers(context)) {
        Some(context) => Corruption::OtherContexts(context.clone()),
        None => Corruption::Sequence {
            kind: "lanesequence",
            expected: at.sequences.iter().map(|(_, sequence)| sequence.0).sum(),
            found: at.lane_sequence.0,
        },
    }
}

/// Returns the place before a lane sequence, which may be the next to come.
pub(crate) fn before(
    topology: &Topology,
    lane: Lane,
    at: LaneSequence,
    end: &Heads,
) -> Result<LaneSequence, FollowError> {
    let before = LaneSequence(at.0.saturating_sub(1));
    if before > end.lane_sequence {
        return Err(beyond(topology, lane, before, end));
    }
    Ok(before)
}

/// Refuses a place that lies beyond the tail.
pub(crate) fn beyond(
    topology: &Topology,
    lane: Lane,
    at: LaneSequence,
    end: &Heads,
) -> FollowError {
    let mut place = Checkpoint::beginning(topology.log_id, lane);
    place.lane_sequence = at;
    refused(lane, place, Corruption::BeyondTail(end.lane_sequence))
}

/// A whole lane is counted by lane sequences.
pub(crate) fn not_by_sequence(lane: Lane) -> FollowError {
    FollowError::Unavailable {
        lane,
        source: "a lane is followed from a lane sequence, not from a sequence".into(),
    }
}

fn refused(lane: Lane, at: Checkpoint, corruption: Corruption) -> FollowError {
    FollowError::Corrupt {
        lane,
        place: Place::Checkpoint(Box::new(at)),
        corruption,
    }
}
