//! Where a follower starts: checked against the log before anything is read.

use std::sync::Arc;

use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence, Sequence};

use super::{
    follower::Start,
    reader::{self, Stop},
    shared::Shared,
};
use crate::{Corruption, FollowError, From, Heads, Place, continuity::Continuity};

/// Finds the place where a follower of one context starts.
pub(crate) async fn of_context(
    shared: &Arc<Shared>,
    context: &Context,
    lane: Lane,
    from: From,
) -> Result<Start, FollowError> {
    let end = end(shared, lane)?;
    let index = shared
        .context(context)
        .map_err(|source| FollowError::Unavailable { lane, source })?;
    let mut checkpoint = Checkpoint::beginning(shared.topology.log_id, lane);
    let mut next = None;
    match from {
        From::Beginning => next = Some(Sequence(1)),
        From::After(at) => {
            check(shared, lane, &at, &end)?;
            if at.sequences.iter().all(|(known, _)| known != context) && !is_whole(&at) {
                let corruption = Corruption::OtherContexts(context.clone());
                return Err(refused(lane, at, corruption));
            }
            next = Some(at.sequence(context).next());
            checkpoint.advance(context, at.sequence(context), at.lane_sequence);
        }
        From::Sequence(sequence) => {
            let sequence = Sequence(sequence.0.max(1));
            let before = locate_before(shared, lane, index, sequence, &end).await?;
            next = Some(sequence);
            checkpoint.advance(context, Sequence(sequence.0 - 1), before);
        }
        From::LaneSequence(at) => checkpoint.lane_sequence = before(shared, lane, at, &end)?,
    }
    let mut sequences = vec![None; end.sequences.len()];
    sequences[index] = next;
    Ok(Start {
        lane,
        only: Some(index),
        continuity: Continuity::after(checkpoint.lane_sequence, sequences, false),
        checkpoint,
    })
}

/// Finds the place where a follower of a whole lane starts.
pub(crate) fn of_lane(shared: &Shared, lane: Lane, from: From) -> Result<Start, FollowError> {
    let end = end(shared, lane)?;
    let mut checkpoint = Checkpoint::beginning(shared.topology.log_id, lane);
    let contexts = &shared.topology.contexts;
    let mut next = vec![None; contexts.len()];
    match from {
        From::Beginning => next.fill(Some(Sequence(1))),
        From::After(at) => {
            check(shared, lane, &at, &end)?;
            if !is_whole(&at) {
                let corruption = partial(contexts, &at);
                return Err(refused(lane, at, corruption));
            }
            for (next, context) in next.iter_mut().zip(contexts) {
                *next = Some(at.sequence(context).next());
            }
            checkpoint = at;
        }
        From::LaneSequence(at) => checkpoint.lane_sequence = before(shared, lane, at, &end)?,
        From::Sequence(_) => {
            return Err(FollowError::Unavailable {
                lane,
                source: "a lane is followed from a lane sequence, not from a sequence".into(),
            });
        }
    }
    Ok(Start {
        lane,
        only: None,
        continuity: Continuity::after(checkpoint.lane_sequence, next, true),
        checkpoint,
    })
}

/// Returns the end of a lane, where the log has that lane.
pub(crate) fn end(shared: &Shared, lane: Lane) -> Result<Heads, FollowError> {
    match shared.tails.get(lane.index()) {
        Some(tail) => Ok(tail.heads()),
        None => Err(FollowError::Unavailable {
            lane,
            source: format!("the log has {} lanes", shared.topology.lanes).into(),
        }),
    }
}

/// A checkpoint of another log or beyond the tail is corrupt: waiting would not mend it.
fn check(shared: &Shared, lane: Lane, at: &Checkpoint, end: &Heads) -> Result<(), FollowError> {
    if at.log_id != shared.topology.log_id || at.lane != lane {
        return Err(refused(lane, at.clone(), Corruption::OtherLog));
    }
    let contexts = &shared.topology.contexts;
    let beyond = at.lane_sequence > end.lane_sequence
        || contexts
            .iter()
            .zip(&end.sequences)
            .any(|(context, last)| at.sequence(context) > *last);
    if beyond {
        let corruption = Corruption::BeyondTail(end.lane_sequence);
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

/// Finds the lane sequence before a sequence of a context, which may be the next to come.
async fn locate_before(
    shared: &Arc<Shared>,
    lane: Lane,
    context: usize,
    sequence: Sequence,
    end: &Heads,
) -> Result<LaneSequence, FollowError> {
    if sequence > end.sequences[context].next() {
        return Err(beyond(shared, lane, LaneSequence(sequence.0 - 1), end));
    }
    let (shared, end) = (Arc::clone(shared), end.clone());
    let turns = Arc::clone(&shared.readers);
    let _turn = turns.acquire().await.expect("it is never closed");
    let find = move || reader::locate(&shared, lane, context, sequence, &end);
    tokio::task::spawn_blocking(find)
        .await
        .unwrap_or_else(|ended| Err(Stop::Unavailable(ended.into())))
        .map_err(|stop| stop.error(lane))
}

/// Returns the place before a lane sequence, which may be the next to come.
fn before(
    shared: &Shared,
    lane: Lane,
    at: LaneSequence,
    end: &Heads,
) -> Result<LaneSequence, FollowError> {
    let before = LaneSequence(at.0.saturating_sub(1));
    if before > end.lane_sequence {
        return Err(beyond(shared, lane, before, end));
    }
    Ok(before)
}

fn beyond(shared: &Shared, lane: Lane, at: LaneSequence, end: &Heads) -> FollowError {
    let mut place = Checkpoint::beginning(shared.topology.log_id, lane);
    place.lane_sequence = at;
    refused(lane, place, Corruption::BeyondTail(end.lane_sequence))
}

fn refused(lane: Lane, at: Checkpoint, corruption: Corruption) -> FollowError {
    FollowError::Corrupt {
        lane,
        place: Place::Checkpoint(Box::new(at)),
        corruption,
    }
}
