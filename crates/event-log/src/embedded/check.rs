//! What is looked at when the log opens: that no lane has lost its end.

use foldline_kernel::{Lane, LaneSequence, Topology};

use super::{
    OpenError,
    directory::Directory,
    heads_file::{Acknowledged, HeadsFile},
    record::{self, LaneState},
    store::{self, Store},
};
use crate::Corruption;

/// Reads a lane's state and holds it against the records and against what was acknowledged.
pub(crate) fn lane(
    directory: &Directory,
    topology: &Topology,
    store: &Store,
    heads_file: &mut HeadsFile,
    lane: Lane,
) -> Result<LaneState, OpenError> {
    let corrupt = |at, corruption| directory.corrupt(lane, at, corruption);
    let broken = |error: fjall::Error| {
        if store::is_damage(&error) {
            corrupt(LaneSequence::ZERO, Corruption::Record(error.to_string()))
        } else {
            directory.unavailable(error)
        }
    };
    let mut state = match store.states.get(record::state_key(lane)).map_err(broken)? {
        Some(bytes) => LaneState::decode(lane, &bytes, topology.contexts.len())
            .map_err(|corruption| corrupt(LaneSequence::ZERO, corruption))?,
        None => LaneState::empty(topology.contexts.len()),
    };
    let (first, last) = ends(store, lane).map_err(broken)?;
    let acknowledged = heads_file.get(lane);
    compare(&state, acknowledged, first, last)
        .map_err(|(at, corruption)| corrupt(at, corruption))?;
    // An epoch that was raised and then lost with the journal's end is not given out twice.
    state.epoch = state.epoch.max(acknowledged.epoch);
    let now = Acknowledged {
        lane_sequence: last,
        epoch: state.epoch,
    };
    if now != acknowledged {
        let noted = heads_file.put(lane, now);
        noted.map_err(|error| directory.unavailable(error))?;
    }
    Ok(state)
}

/// Returns the first and the last place of a lane that has a record, 0 where there is none.
fn ends(store: &Store, lane: Lane) -> fjall::Result<(LaneSequence, LaneSequence)> {
    let place = |guard: Option<fjall::Guard>| -> fjall::Result<LaneSequence> {
        let key = guard.map(fjall::Guard::key).transpose()?;
        let at = key.and_then(|key| record::lane_sequence(lane, &key));
        Ok(at.unwrap_or_default())
    };
    let records = store.lane(lane);
    Ok((
        place(records.first_key_value())?,
        place(records.last_key_value())?,
    ))
}

/// State and records are written in one atomic batch, and the file of heads after it: each can
/// only be at or behind the one before it, or something has been lost.
fn compare(
    state: &LaneState,
    acknowledged: Acknowledged,
    first: LaneSequence,
    last: LaneSequence,
) -> Result<(), (LaneSequence, Corruption)> {
    let promised = acknowledged.lane_sequence.max(state.heads.lane_sequence);
    if last < promised {
        let cut_off = Corruption::CutOff {
            found: last,
            acknowledged: promised,
        };
        return Err((last.next(), cut_off));
    }
    let beginning = LaneSequence(u64::from(last > LaneSequence::ZERO));
    for (expected, found) in [(beginning, first), (state.heads.lane_sequence, last)] {
        if expected != found {
            let gap = Corruption::Sequence {
                kind: "lanesequence",
                expected: expected.0,
                found: found.0,
            };
            return Err((expected, gap));
        }
    }
    Ok(())
}
