//! Reads the store: chunks of a lane, decoded and verified. Blocking; runs beside the workers.

use std::sync::Arc;

use bytes::BytesMut;
use foldline_kernel::{Lane, LaneSequence, Position, Sequence};
use foldline_schema::decode;

use super::{
    record::{self, Header},
    shared::Shared,
    store,
    tail::Placed,
};
use crate::{Corruption, FollowError, Heads, Place, Source};

/// How much one chunk decodes at most; a follower holds one and has another read ahead.
pub(crate) const CHUNK_EVENTS_MAX: usize = 1024;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// How much is allocated at a time for the records of neighbours; each keeps the others'.
const COPIES_BYTES: usize = 16 << 10;

/// How much one chunk passes by at most while it looks for one context.
const CHUNK_PASSED_BYTES_MAX: usize = 16 << 20;

/// Which part of a lane to read.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) lane: Lane,
    /// The one context that is wanted, or all.
    pub(crate) only: Option<usize>,
    pub(crate) after: LaneSequence,
    /// The lane's end when the scan began; everything up to there is durable.
    pub(crate) end: Heads,
}

/// What a scan found.
pub(crate) struct Chunk {
    pub(crate) events: Vec<Placed>,
    /// The last lane sequence that was looked at.
    pub(crate) scanned: LaneSequence,
    /// The lane's end, where `scanned` is it.
    pub(crate) end: Option<Heads>,
    /// Why it went no further, after `events`.
    pub(crate) stopped: Option<Stop>,
}

impl Chunk {
    /// A scan that did not take place.
    pub(crate) fn failed(after: LaneSequence, source: Source) -> Self {
        Self {
            events: Vec::new(),
            scanned: after,
            end: None,
            stopped: Some(Stop::Unavailable(source)),
        }
    }
}

/// Why a scan cannot go on.
pub(crate) enum Stop {
    Corrupt(Place, Corruption),
    Unavailable(Source),
}

impl Stop {
    pub(crate) fn error(self, lane: Lane) -> FollowError {
        match self {
            Self::Corrupt(place, corruption) => FollowError::Corrupt {
                lane,
                place,
                corruption,
            },
            Self::Unavailable(source) => FollowError::Unavailable { lane, source },
        }
    }

    fn store(error: fjall::Error, expected: LaneSequence) -> Self {
        if store::is_damage(&error) {
            let corruption = Corruption::Record(error.to_string());
            Self::Corrupt(Place::LaneSequence(expected), corruption)
        } else {
            Self::Unavailable(store::source(error))
        }
    }
}

/// Reads one chunk.
pub(crate) fn read(shared: &Shared, scan: Scan) -> Chunk {
    let mut chunk = Chunk {
        events: Vec::new(),
        scanned: scan.after,
        end: None,
        stopped: None,
    };
    let stopped = fill(shared, &scan, &mut chunk);
    chunk.stopped = stopped.err();
    chunk.end =
        (chunk.stopped.is_none() && chunk.scanned == scan.end.lane_sequence).then_some(scan.end);
    chunk
}

fn fill(shared: &Shared, scan: &Scan, chunk: &mut Chunk) -> Result<(), Stop> {
    let last = scan.end.lane_sequence;
    let (mut bytes, mut passed) = (0, 0);
    let mut copies = BytesMut::new();
    let range = record::key(scan.lane, scan.after.next())..=record::key(scan.lane, last);
    for pair in shared.store.lane(scan.lane).range(range) {
        let expected = chunk.scanned.next();
        let (key, value) = pair
            .into_inner()
            .map_err(|error| Stop::store(error, expected))?;
        let found = record::lane_sequence(scan.lane, &key).unwrap_or_default();
        // A follower of one context is not concerned by what another one lacks, and its own
        // sequence tells what it lacks itself.
        if found != expected && scan.only.is_none() {
            return Err(gap(expected, found));
        }
        match wanted(scan.only, &value) {
            false => passed += value.len(),
            true => {
                bytes += value.len();
                let event = event(shared, &key, &value, &mut copies)
                    .map_err(|corruption| corrupt(shared, scan.lane, found, &value, corruption))?;
                chunk.events.push(event);
            }
        }
        chunk.scanned = found;
        if chunk.events.len() >= CHUNK_EVENTS_MAX
            || bytes >= CHUNK_BYTES_MAX
            || passed >= CHUNK_PASSED_BYTES_MAX
        {
            return Ok(());
        }
    }
    if chunk.scanned < last {
        if scan.only.is_none() {
            let corruption = Corruption::CutOff {
                found: chunk.scanned,
                acknowledged: last,
            };
            return Err(Stop::Corrupt(
                Place::LaneSequence(chunk.scanned.next()),
                corruption,
            ));
        }
        chunk.scanned = last;
    }
    Ok(())
}

/// A record without a readable header may be anybody's, so everybody stops at it.
fn wanted(only: Option<usize>, value: &[u8]) -> bool {
    match (only, record::header(value)) {
        (Some(only), Some(header)) => header.context == only,
        _ => true,
    }
}

/// Verifies and decodes one record: what it says of itself must be where it lies.
fn event(
    shared: &Shared,
    key: &[u8],
    value: &[u8],
    copies: &mut BytesMut,
) -> Result<Placed, Corruption> {
    let bytes = record::event(key, value)?;
    let header = record::header(value).expect("its checksum has been verified");
    // A copy: an event must not keep the whole block it was read from, only few neighbours.
    if copies.capacity() < bytes.len() {
        *copies = BytesMut::with_capacity(COPIES_BYTES.max(bytes.len()));
    }
    copies.extend_from_slice(bytes);
    let event = decode(copies.split().freeze())?;
    let known = shared.topology.contexts.get(header.context);
    let lane_sequence = record::lane_sequence(shared.topology.lane_of(event.subject), key);
    if known != Some(&event.context)
        || header.sequence != event.sequence
        || lane_sequence != Some(event.lane_sequence)
    {
        return Err(Corruption::Record(format!(
            "it lies in the place of another event: it says it is {} sequence {}, lane sequence {}",
            event.context, event.sequence, event.lane_sequence
        )));
    }
    Ok((header.context, Arc::new(event)))
}

fn gap(expected: LaneSequence, found: LaneSequence) -> Stop {
    let corruption = Corruption::Sequence {
        kind: "lanesequence",
        expected: expected.0,
        found: found.0,
    };
    Stop::Corrupt(Place::LaneSequence(expected), corruption)
}

/// Says where as exactly as the record still tells.
fn corrupt(
    shared: &Shared,
    lane: Lane,
    at: LaneSequence,
    value: &[u8],
    corruption: Corruption,
) -> Stop {
    let trusted = !matches!(corruption, Corruption::Record(_));
    let position =
        record::header(value)
            .filter(|_| trusted)
            .and_then(|Header { context, sequence }| {
                Some(Position {
                    context: shared.topology.contexts.get(context)?.clone(),
                    partition: lane,
                    sequence,
                })
            });
    let place = match position {
        Some(position) => Place::Position(position, at),
        None => Place::LaneSequence(at),
    };
    Stop::Corrupt(place, corruption)
}

/// How long a stretch of a lane is read in order rather than halved further.
const LOCATE_STRETCH_MAX: u64 = 1024;

/// Finds the lane sequence after which a sequence of one context comes, by halving: within a
/// lane, the sequences of a context only rise.
///
/// `sequence` is at most one above the context's last.
pub(crate) fn locate(
    shared: &Shared,
    lane: Lane,
    context: usize,
    sequence: Sequence,
    end: &Heads,
) -> Result<LaneSequence, Stop> {
    if sequence > end.sequences[context] {
        return Ok(end.lane_sequence);
    }
    // An event's lane sequence is never below its sequence.
    let (mut low, mut high) = (sequence.0, end.lane_sequence.0);
    while high - low > LOCATE_STRETCH_MAX {
        let middle = low + (high - low) / 2;
        match first_from(shared, lane, context, middle, high)? {
            Some((at, found)) if found < sequence => low = at.0 + 1,
            _ => high = middle,
        }
    }
    // `high` may have come down to the event itself, so the stretch is read to the end.
    let mut from = low;
    while let Some((at, found)) = first_from(shared, lane, context, from, end.lane_sequence.0)? {
        if found >= sequence {
            return Ok(LaneSequence(at.0 - 1));
        }
        from = at.0 + 1;
    }
    Ok(end.lane_sequence)
}

/// Returns the first record of a context in a stretch of a lane.
fn first_from(
    shared: &Shared,
    lane: Lane,
    context: usize,
    from: u64,
    to: u64,
) -> Result<Option<(LaneSequence, Sequence)>, Stop> {
    let range = record::key(lane, LaneSequence(from))..=record::key(lane, LaneSequence(to));
    for pair in shared.store.lane(lane).range(range) {
        let (key, value) = pair
            .into_inner()
            .map_err(|error| Stop::store(error, LaneSequence(from)))?;
        if let Some(header) = record::header(&value)
            && header.context == context
            && let Some(at) = record::lane_sequence(lane, &key)
        {
            return Ok(Some((at, header.sequence)));
        }
    }
    Ok(None)
}
