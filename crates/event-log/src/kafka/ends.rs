//! The end of a lane, found without reading the lane.

use std::time::{Duration, Instant};

use foldline_kernel::{Lane, LaneSequence, Sequence};
use foldline_schema::{Event, decode};

use super::{
    probe::{Found, Partition, Probe},
    shared::Shared,
};
use crate::{Corruption, FollowError, Heads, Place, Source};

/// How long the markers of a transaction are given between two looks.
const MARKERS_PAUSE: Duration = Duration::from_millis(2);

/// The end of a lane, and where in the topics it was found.
#[derive(Clone, Debug)]
pub(crate) struct LaneEnd {
    pub(crate) heads: Heads,
    /// Per context, what was found in its partition.
    pub(crate) tails: Vec<Tail>,
}

/// The end of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Where what is committed ended.
    pub(crate) end: i64,
    /// The offset of the last event, where there is one.
    pub(crate) last: Option<i64>,
    pub(crate) sequence: Sequence,
    pub(crate) lane_sequence: LaneSequence,
}

impl LaneEnd {
    pub(crate) fn empty(contexts: usize) -> Self {
        Self {
            heads: Heads {
                lane_sequence: LaneSequence::ZERO,
                sequences: vec![Sequence::ZERO; contexts],
            },
            tails: vec![Tail::default(); contexts],
        }
    }

    fn of(tails: Vec<Tail>) -> Self {
        Self {
            heads: of_tails(&tails),
            tails,
        }
    }

    /// Returns the end that was found in the topics; `heads` may be further, where this process
    /// has appended what readers do not see yet.
    pub(crate) fn committed(&self) -> Heads {
        of_tails(&self.tails)
    }

    /// Returns per context the offset of its last event.
    pub(crate) fn last(&self) -> Vec<Option<i64>> {
        self.tails.iter().map(|tail| tail.last).collect()
    }

    /// Every event has one lane sequence and one sequence, so both count the same events. Where
    /// they do not, the partitions were seen at different moments, or something is missing.
    fn adds_up(&self) -> bool {
        let events: u64 = self.heads.sequences.iter().map(|last| last.0).sum();
        events == self.heads.lane_sequence.0
    }
}

fn of_tails(tails: &[Tail]) -> Heads {
    let lane_sequence = tails.iter().map(|tail| tail.lane_sequence).max();
    Heads {
        lane_sequence: lane_sequence.unwrap_or_default(),
        sequences: tails.iter().map(|tail| tail.sequence).collect(),
    }
}

/// Finds a lane's end as it stands now. It blocks.
///
/// The markers of one transaction land in one partition after another, so a look in between sees
/// half of it; then it looks again.
pub(crate) fn find(shared: &Shared, lane: Lane) -> Result<LaneEnd, FollowError> {
    let partitions = shared.partitions(lane);
    let deadline = Instant::now() + shared.settings.request_timeout;
    loop {
        let before = shared.known(lane).tails.clone();
        let end = shared
            .probes
            .with(|probe| look(probe, &partitions, &before))
            .map_err(|error| Shared::unavailable(lane, error))?
            .map_err(|(context, corruption)| corrupt(shared, lane, context, corruption))?;
        if end.adds_up() {
            return Ok(note(shared, lane, end));
        }
        // Nothing was on its way when these ends were seen: then this is all there is.
        let written = shared
            .probes
            .written(&partitions)
            .map_err(|error| Shared::unavailable(lane, error))?;
        if end.tails.iter().map(|tail| tail.end).eq(written) {
            return Err(missing(shared, lane, &end));
        }
        if Instant::now() > deadline {
            let source = "a transaction has been on its way for too long";
            return Err(Shared::unavailable(lane, source));
        }
        std::thread::sleep(MARKERS_PAUSE);
    }
}

/// Notes what was found, and returns the furthest that is known: what this process has appended
/// is durable also where its markers are still on their way.
fn note(shared: &Shared, lane: Lane, end: LaneEnd) -> LaneEnd {
    let mut known = shared.known(lane);
    known.tails = end.tails;
    if end.heads.lane_sequence > known.heads.lane_sequence {
        known.heads = end.heads;
    }
    known.clone()
}

/// Finds the end of a lane whose writer has just been announced: nothing else is on its way.
pub(crate) fn find_as_writer(shared: &Shared, lane: Lane) -> Result<Heads, FollowError> {
    let partitions = shared.partitions(lane);
    let before = shared.known(lane).tails.clone();
    let end = shared
        .probes
        .with(|probe| look(probe, &partitions, &before))
        .map_err(|error| Shared::unavailable(lane, error))?
        .map_err(|(context, corruption)| corrupt(shared, lane, context, corruption))?;
    if !end.adds_up() {
        return Err(missing(shared, lane, &end));
    }
    let heads = end.heads.clone();
    note(shared, lane, end);
    Ok(heads)
}

type Looked = Result<LaneEnd, (usize, Corruption)>;

/// Looks at the end of every partition; what has not moved since is not read again.
fn look(probe: &mut Probe, partitions: &[Partition], before: &[Tail]) -> Result<Looked, Source> {
    let ends = probe.ends(partitions)?;
    let mut tails = before.to_vec();
    let moved: Vec<usize> = (0..ends.len())
        .filter(|&context| ends[context] != before[context].end)
        .collect();
    let places: Vec<_> = moved
        .iter()
        .map(|&context| (partitions[context].clone(), ends[context]))
        .collect();
    let found = probe.last_before(&places)?;
    for (&context, found) in moved.iter().zip(found) {
        let tail = found.map_or(Ok(Tail::default()), |found| tail(&found));
        match tail {
            Ok(tail) => {
                tails[context] = Tail {
                    end: ends[context],
                    ..tail
                };
            }
            Err(corruption) => return Ok(Err((context, corruption))),
        }
    }
    Ok(Ok(LaneEnd::of(tails)))
}

fn tail(found: &Found) -> Result<Tail, Corruption> {
    let event: Event = decode(found.value.clone())?;
    Ok(Tail {
        end: 0,
        last: Some(found.offset),
        sequence: event.sequence,
        lane_sequence: event.lane_sequence,
    })
}

fn corrupt(shared: &Shared, lane: Lane, context: usize, corruption: Corruption) -> FollowError {
    FollowError::Corrupt {
        lane,
        place: Place::End(shared.topology.contexts[context].clone()),
        corruption,
    }
}

fn missing(shared: &Shared, lane: Lane, end: &LaneEnd) -> FollowError {
    if let Err(source) = shared.check_contexts() {
        return Shared::unavailable(lane, source);
    }
    let events = end.heads.sequences.iter().map(|last| last.0).sum();
    FollowError::Corrupt {
        lane,
        place: Place::LaneSequence(end.heads.lane_sequence),
        corruption: Corruption::Sequence {
            kind: "lanesequence",
            expected: events,
            found: end.heads.lane_sequence.0,
        },
    }
}
