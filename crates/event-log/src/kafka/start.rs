//! Where a follower starts: checked against the log, and found in the topics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use foldline_kernel::{Checkpoint, Lane, LaneSequence, Sequence};
use foldline_schema::decode;

use super::{
    cursor,
    ends::{self, LaneEnd, Tail},
    probe::Probe,
    search::{self, Search, Target},
    shared::Shared,
    stream::Begin,
    tail::LaneTail,
    topics::partition,
};
use crate::{Corruption, FollowError, From, Source, continuity::Continuity, places};

/// How many records before its place a follower may begin to read, and skip.
const EARLY_MAX: i64 = 1024;

/// How long a place beyond the tail is given between two looks.
const BEYOND_PAUSE: Duration = Duration::from_millis(5);

/// The place where a follower starts.
pub(crate) struct Start {
    pub(crate) lane: Lane,
    /// The one context that is followed, or all.
    pub(crate) only: Option<usize>,
    pub(crate) continuity: Continuity,
    pub(crate) checkpoint: Checkpoint,
    /// Per context where to begin to read, where it is followed.
    pub(crate) begins: Vec<Option<Begin>>,
    /// What the lane brings from now on.
    pub(crate) tail: Option<Arc<LaneTail>>,
}

/// Finds the place. It blocks.
pub(crate) fn find(
    shared: &Arc<Shared>,
    only: Option<usize>,
    lane: Lane,
    from: From,
) -> Result<Start, FollowError> {
    shared
        .check_lane(lane)
        .map_err(|source| Shared::unavailable(lane, source))?;
    let begun = Instant::now();
    loop {
        let end = ends::find(shared, lane)?;
        let refused = match place(shared, only, lane, from.clone(), &end) {
            Err(error) if is_beyond(&error) => error,
            Err(error) => return Err(error),
            Ok(mut start) => {
                let tail = shared.feed.join(shared, lane, end);
                start.tail = Some(tail.map_err(|source| Shared::unavailable(lane, source))?);
                return Ok(start);
            }
        };
        // The end that readers see is behind the one that a writer has told for as long as the
        // markers of its transaction are on their way.
        let written = shared.probes.written(&shared.partitions(lane));
        let written = written.map_err(|source| Shared::unavailable(lane, source))?;
        if end.tails.iter().map(|tail| tail.end).eq(written) {
            return Err(refused);
        }
        if begun.elapsed() > shared.settings.request_timeout {
            let source = "the place may be in a transaction that has been on its way for too long";
            return Err(Shared::unavailable(lane, source));
        }
        std::thread::sleep(BEYOND_PAUSE);
    }
}

fn is_beyond(error: &FollowError) -> bool {
    matches!(
        error,
        FollowError::Corrupt {
            corruption: Corruption::BeyondTail(_),
            ..
        }
    )
}

fn place(
    shared: &Shared,
    only: Option<usize>,
    lane: Lane,
    from: From,
    end: &LaneEnd,
) -> Result<Start, FollowError> {
    let topology = &shared.topology;
    let mut checkpoint = Checkpoint::beginning(topology.log_id, lane);
    let mut next = vec![None; topology.contexts.len()];
    let followed = |context: &usize| only.is_none_or(|only| only == *context);
    let all = || (0..topology.contexts.len()).filter(followed);
    let begins: Vec<(usize, Begin)> = match from {
        From::Beginning => {
            all().for_each(|context| next[context] = Some(Sequence(1)));
            all().map(|context| (context, Begin::at(0))).collect()
        }
        From::After(at) => {
            match only.map(|only| &topology.contexts[only]) {
                Some(only) => places::check_context(topology, lane, only, &at, &end.heads)?,
                None => places::check_lane(topology, lane, &at, &end.heads)?,
            }
            let hints = cursor::read(topology, at.cursor.as_deref());
            let after: Vec<_> = all()
                .map(|context| After {
                    context,
                    sequence: at.sequence(&topology.contexts[context]),
                    hint: hints[context],
                })
                .collect();
            for after in &after {
                next[after.context] = Some(after.sequence.next());
            }
            match only.map(|only| &topology.contexts[only]) {
                Some(only) => checkpoint.advance(only, at.sequence(only), at.lane_sequence),
                None => checkpoint = at,
            }
            search(shared, lane, |probe| {
                offsets_after(shared, lane, probe, &after, end)
            })?
        }
        From::Sequence(_) if only.is_none() => return Err(places::not_by_sequence(lane)),
        From::Sequence(sequence) => {
            let context = only.expect("guarded just above");
            let sequence = Sequence(sequence.0.max(1));
            if sequence > end.heads.sequences[context].next() {
                let before = LaneSequence(sequence.0 - 1);
                return Err(places::beyond(topology, lane, before, &end.heads));
            }
            let found = search(shared, lane, |probe| {
                exactly(shared, lane, probe, context, sequence, end)
            })?;
            let Some((offset, before)) = found else {
                let before = LaneSequence(sequence.0 - 1);
                return Err(places::beyond(topology, lane, before, &end.heads));
            };
            next[context] = Some(sequence);
            let name = &topology.contexts[context];
            checkpoint.advance(name, Sequence(sequence.0 - 1), before);
            vec![(context, Begin::at(offset))]
        }
        From::LaneSequence(at) => {
            checkpoint.lane_sequence = places::before(topology, lane, at, &end.heads)?;
            let target = Target::LaneSequence(checkpoint.lane_sequence.0 + 1);
            let contexts: Vec<_> = all().collect();
            let searches: Vec<_> = contexts
                .iter()
                .map(|context| searching(shared, lane, *context, end, target, EARLY_MAX))
                .collect();
            let offsets = search(shared, lane, |probe| search::run(probe, &searches))?;
            let begins = offsets.into_iter().map(Begin::before);
            contexts.into_iter().zip(begins).collect()
        }
    };
    let mut starts = vec![None; topology.contexts.len()];
    for (context, begin) in begins {
        starts[context] = Some(begin);
    }
    Ok(Start {
        lane,
        only,
        continuity: Continuity::after(checkpoint.lane_sequence, next, only.is_none()),
        checkpoint,
        begins: starts,
        tail: None,
    })
}

fn search<T>(
    shared: &Shared,
    lane: Lane,
    work: impl FnOnce(&mut Probe) -> Result<T, Source>,
) -> Result<T, FollowError> {
    shared
        .probes
        .with(work)
        .map_err(|source| Shared::unavailable(lane, source))
}

/// A context of which everything up to a sequence has been absorbed.
struct After {
    context: usize,
    sequence: Sequence,
    /// Where the event of that sequence is said to lie.
    hint: Option<i64>,
}

/// Finds where to go on in each context: where the hint says, if the event that lies there is the
/// right one, and else by search.
fn offsets_after(
    shared: &Shared,
    lane: Lane,
    probe: &mut Probe,
    after: &[After],
    end: &LaneEnd,
) -> Result<Vec<(usize, Begin)>, Source> {
    let mut begins = vec![None; after.len()];
    let mut hinted = Vec::new();
    for (index, after) in after.iter().enumerate() {
        let Tail { last, sequence, .. } = end.tails[after.context];
        if after.sequence == Sequence::ZERO {
            begins[index] = Some(Begin::at(0));
        } else if after.sequence == sequence {
            begins[index] = last.map(|last| Begin::at(last + 1));
        } else if let Some(hint) = after
            .hint
            .filter(|hint| last.is_some_and(|last| *hint <= last))
        {
            hinted.push((index, hint));
        }
    }
    let places: Vec<_> = hinted
        .iter()
        .map(|(index, hint)| {
            let topic = &shared.topics[after[*index].context];
            (partition(topic, lane), *hint)
        })
        .collect();
    for ((index, hint), found) in hinted.iter().zip(probe.first_from(&places)?) {
        let event = found
            .filter(|found| found.offset == *hint)
            .and_then(|found| decode(found.value).ok());
        if event.is_some_and(|event| event.sequence == after[*index].sequence) {
            begins[*index] = Some(Begin::at(hint + 1));
        }
    }
    let unknown: Vec<usize> = (0..after.len())
        .filter(|index| begins[*index].is_none())
        .collect();
    let searches: Vec<_> = unknown
        .iter()
        .map(|&index| {
            let After {
                context, sequence, ..
            } = after[index];
            let target = Target::Sequence(sequence.0 + 1);
            searching(shared, lane, context, end, target, EARLY_MAX)
        })
        .collect();
    for (index, offset) in unknown.into_iter().zip(search::run(probe, &searches)?) {
        begins[index] = Some(Begin::before(offset));
    }
    Ok(after
        .iter()
        .zip(begins)
        .map(|(after, begin)| (after.context, begin.expect("searched for, if not known")))
        .collect())
}

/// Finds the very event of a sequence: its offset, and the lane sequence before it. `None` where
/// it is durable, but its marker is still on its way.
fn exactly(
    shared: &Shared,
    lane: Lane,
    probe: &mut Probe,
    context: usize,
    sequence: Sequence,
    end: &LaneEnd,
) -> Result<Option<(i64, LaneSequence)>, Source> {
    let tail = end.tails[context];
    if sequence > end.heads.sequences[context] {
        let after_last = tail.last.map_or(0, |last| last + 1);
        return Ok(Some((after_last, end.heads.lane_sequence)));
    }
    if sequence > tail.sequence {
        return Ok(None);
    }
    let target = Target::Sequence(sequence.0);
    let search = searching(shared, lane, context, end, target, 0);
    let at = search::run(probe, &[search])?[0];
    let place = (partition(&shared.topics[context], lane), at);
    let found = probe.first_from(&[place])?.remove(0);
    let found = found.ok_or("the event that was looked for has gone")?;
    let event = decode(found.value)?;
    let before = LaneSequence(event.lane_sequence.0.saturating_sub(1));
    Ok(Some((found.offset, before)))
}

fn searching(
    shared: &Shared,
    lane: Lane,
    context: usize,
    end: &LaneEnd,
    target: Target,
    early_max: i64,
) -> Search {
    Search {
        partition: partition(&shared.topics[context], lane),
        tail: end.tails[context],
        target,
        early_max,
    }
}
