//! The bytes of a record, of its key and of what is kept per lane. All of it is on disk for
//! ever: a change is a new format version.
//!
//! ```text
//!   key     lane u16 │ lane sequence u64                                       (big-endian)
//!   record  crc32c u32 │ context u16 │ sequence u64 │ the event, byte for byte
//!   lane    crc32c u32 │ epoch u32 │ lane sequence u64 │ sequence u64 per context
//! ```
//!
//! Each checksum covers the key as well, so that a record in a wrong place is told too. The
//! context is its index in the log's list of contexts, which is only ever added to.

use foldline_kernel::{Epoch, Lane, LaneSequence, Sequence};

use crate::{Corruption, Heads};

/// The key of a record.
pub(crate) type Key = [u8; KEY_BYTES];

/// How long a key is.
pub(crate) const KEY_BYTES: usize = 10;

/// What stands before the event: checksum, context, sequence.
pub(crate) const HEADER_BYTES: usize = 14;

/// Returns the key of a place in a lane.
pub(crate) fn key(lane: Lane, lane_sequence: LaneSequence) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..2].copy_from_slice(&lane.0.to_be_bytes());
    key[2..].copy_from_slice(&lane_sequence.0.to_be_bytes());
    key
}

/// Returns the place that a key names.
pub(crate) fn place(key: &[u8]) -> Option<(Lane, LaneSequence)> {
    let (lane, rest) = key.split_first_chunk::<2>()?;
    let sequence = u64::from_be_bytes(rest.try_into().ok()?);
    Some((Lane(u16::from_be_bytes(*lane)), LaneSequence(sequence)))
}

/// Returns the place in a lane that a key names.
pub(crate) fn lane_sequence(lane: Lane, key: &[u8]) -> Option<LaneSequence> {
    let (named, sequence) = place(key)?;
    (named == lane).then_some(sequence)
}

/// What a record says of itself before its checksum is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) context: usize,
    pub(crate) sequence: Sequence,
}

/// Puts a record together.
pub(crate) fn encode(key: &Key, context: usize, sequence: Sequence, event: &[u8]) -> Vec<u8> {
    let context = u16::try_from(context).expect("a log has far fewer contexts than 65,536");
    let mut record = Vec::with_capacity(HEADER_BYTES + event.len());
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&context.to_be_bytes());
    record.extend_from_slice(&sequence.0.to_be_bytes());
    record.extend_from_slice(event);
    seal(key, &mut record);
    record
}

/// Reads the header of a record, unverified: good for passing by what is not wanted.
pub(crate) fn header(record: &[u8]) -> Option<Header> {
    let (header, _) = record.split_first_chunk::<HEADER_BYTES>()?;
    let [_, _, _, _, c0, c1, sequence @ ..] = *header;
    Some(Header {
        context: usize::from(u16::from_be_bytes([c0, c1])),
        sequence: Sequence(u64::from_be_bytes(sequence)),
    })
}

/// Verifies a record and returns the event's bytes.
pub(crate) fn event<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], Corruption> {
    if record.len() < HEADER_BYTES {
        return Err(Corruption::Record(format!(
            "it has {} bytes, fewer than a header",
            record.len()
        )));
    }
    verify(key, record)?;
    Ok(&record[HEADER_BYTES..])
}

/// What the store keeps of a lane, in the same atomic batch as its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneState {
    pub(crate) epoch: Epoch,
    pub(crate) heads: Heads,
}

/// The key of a lane's state.
pub(crate) fn state_key(lane: Lane) -> [u8; 2] {
    lane.0.to_be_bytes()
}

impl LaneState {
    /// A lane that nobody has opened yet.
    pub(crate) fn empty(contexts: usize) -> Self {
        Self {
            epoch: Epoch(0),
            heads: Heads {
                lane_sequence: LaneSequence::ZERO,
                sequences: vec![Sequence::ZERO; contexts],
            },
        }
    }

    pub(crate) fn encode(&self, lane: Lane) -> Vec<u8> {
        let mut record = Vec::with_capacity(16 + 8 * self.heads.sequences.len());
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&self.epoch.0.to_be_bytes());
        record.extend_from_slice(&self.heads.lane_sequence.0.to_be_bytes());
        for sequence in &self.heads.sequences {
            record.extend_from_slice(&sequence.0.to_be_bytes());
        }
        seal(&state_key(lane), &mut record);
        record
    }

    /// Reads a lane's state; contexts that were added since start at nothing.
    pub(crate) fn decode(lane: Lane, record: &[u8], contexts: usize) -> Result<Self, Corruption> {
        let too_short = || Corruption::Record("the lane's state is cut off".into());
        verify(&state_key(lane), record)?;
        let (epoch, rest) = record[4..].split_first_chunk().ok_or_else(too_short)?;
        let (lane_sequence, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
        let mut sequences: Vec<_> = rest
            .as_chunks()
            .0
            .iter()
            .map(|bytes| Sequence(u64::from_be_bytes(*bytes)))
            .collect();
        sequences.resize(contexts.max(sequences.len()), Sequence::ZERO);
        Ok(Self {
            epoch: Epoch(u32::from_be_bytes(*epoch)),
            heads: Heads {
                lane_sequence: LaneSequence(u64::from_be_bytes(*lane_sequence)),
                sequences,
            },
        })
    }
}

/// Computes the checksum of a record and its key into the record's first four bytes.
pub(crate) fn seal(key: &[u8], record: &mut [u8]) {
    let checksum = checksum(key, &record[4..]);
    record[..4].copy_from_slice(&checksum.to_be_bytes());
}

/// Checks the first four bytes of a record against the rest and its key.
pub(crate) fn verify(key: &[u8], record: &[u8]) -> Result<(), Corruption> {
    let Some((stored, rest)) = record.split_first_chunk() else {
        return Err(Corruption::Record("it is cut off".into()));
    };
    let (stored, computed) = (u32::from_be_bytes(*stored), checksum(key, rest));
    if stored == computed {
        return Ok(());
    }
    Err(Corruption::Record(format!(
        "its checksum is {stored:08x}, that of its bytes {computed:08x}"
    )))
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a record as written since format 1; the checksum was computed apart.
    #[test]
    fn the_bytes_on_disk_are_these() {
        let key = key(Lane(3), LaneSequence(0x0102));
        assert_eq!(key, [0, 3, 0, 0, 0, 0, 0, 0, 1, 2]);
        let record = encode(&key, 1, Sequence(7), b"{}");
        assert_eq!(record[4..], *b"\x00\x01\0\0\0\0\0\0\0\x07{}");
        assert_eq!(record[..4], 0x2b56_e14e_u32.to_be_bytes());
    }

    #[test]
    fn a_changed_or_misplaced_record_is_told() {
        let at = key(Lane(3), LaneSequence(9));
        let record = encode(&at, 1, Sequence(7), b"{}");
        assert_eq!(event(&at, &record).unwrap(), b"{}");
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(event(&at, &damaged).is_err(), "bit {bit}");
        }
        assert!(event(&key(Lane(4), LaneSequence(9)), &record).is_err());
        for length in 0..record.len() {
            assert!(event(&at, &record[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn the_state_of_a_lane_is_read_as_written_and_grows_with_the_contexts() {
        let mut state = LaneState::empty(2);
        state.epoch = Epoch(5);
        state.heads.lane_sequence = LaneSequence(3);
        state.heads.sequences = vec![Sequence(1), Sequence(2)];
        let record = state.encode(Lane(1));
        assert_eq!(LaneState::decode(Lane(1), &record, 2).unwrap(), state);
        state.heads.sequences.push(Sequence::ZERO);
        assert_eq!(LaneState::decode(Lane(1), &record, 3).unwrap(), state);
        assert!(LaneState::decode(Lane(2), &record, 2).is_err());
    }
}
