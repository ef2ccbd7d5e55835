//! Where a follower starts: checked against the log before anything is read.

use std::sync::Arc;

use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence, Sequence};

use super::{
    follower::Start,
    reader::{self, Stop},
    shared::Shared,
};
use crate::{FollowError, From, Heads, continuity::Continuity, places};

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
            places::check_context(&shared.topology, lane, context, &at, &end)?;
            next = Some(at.sequence(context).next());
            checkpoint.advance(context, at.sequence(context), at.lane_sequence);
        }
        From::Sequence(sequence) => {
            let sequence = Sequence(sequence.0.max(1));
            let before = locate_before(shared, lane, index, sequence, &end).await?;
            next = Some(sequence);
            checkpoint.advance(context, Sequence(sequence.0 - 1), before);
        }
        From::LaneSequence(at) => {
            checkpoint.lane_sequence = places::before(&shared.topology, lane, at, &end)?
        }
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
            places::check_lane(&shared.topology, lane, &at, &end)?;
            for (next, context) in next.iter_mut().zip(contexts) {
                *next = Some(at.sequence(context).next());
            }
            checkpoint = at;
        }
        From::LaneSequence(at) => {
            checkpoint.lane_sequence = places::before(&shared.topology, lane, at, &end)?
        }
        From::Sequence(_) => return Err(places::not_by_sequence(lane)),
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

/// Finds the lane sequence before a sequence of a context, which may be the next to come.
async fn locate_before(
    shared: &Arc<Shared>,
    lane: Lane,
    context: usize,
    sequence: Sequence,
    end: &Heads,
) -> Result<LaneSequence, FollowError> {
    if sequence > end.sequences[context].next() {
        let at = LaneSequence(sequence.0 - 1);
        return Err(places::beyond(&shared.topology, lane, at, end));
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
