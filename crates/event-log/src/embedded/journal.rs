//! Which record of a journal is damaged, once the store has refused to open because of one.
//!
//! The store says only that some batch of some journal does not verify. Its items are found here
//! by the bytes before them (of fjall 3), and those that are records, as their keys' length tells,
//! are held against their own checksums. Nothing is changed, and where this finds nothing the
//! store's own words stand.
//!
//! ```text
//!   item  2 │ 0 │ 0 │ keyspace u64 │ key bytes u16 │ value bytes u32, twice │ key │ value
//! ```

use std::{fs, io, path::Path};

use foldline_kernel::{Lane, LaneSequence};

use super::record::{self, HEADER_BYTES, KEY_BYTES};
use crate::Corruption;

/// What stands before an item's key: the little-endian numbers begin after three bytes.
const ITEM_HEADER_BYTES: usize = 21;

/// Finds the first record in the store's journals that does not verify.
pub(crate) fn damaged_record(store: &Path) -> io::Result<Option<(Lane, LaneSequence, Corruption)>> {
    let mut journals: Vec<_> = fs::read_dir(store)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    journals.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    journals.sort();
    for journal in journals {
        let damaged = first_damaged(&fs::read(journal)?);
        if damaged.is_some() {
            return Ok(damaged);
        }
    }
    Ok(None)
}

fn first_damaged(journal: &[u8]) -> Option<(Lane, LaneSequence, Corruption)> {
    let mut from = 0;
    while let Some(rest) = journal.get(from..) {
        let Some((key, value)) = record_at(rest) else {
            from += 1;
            continue;
        };
        if let Err(corruption) = record::verify(key, value) {
            let (lane, lane_sequence) = record::place(key)?;
            return Some((lane, lane_sequence, corruption));
        }
        from += ITEM_HEADER_BYTES + KEY_BYTES + value.len();
    }
    None
}

/// Returns key and value of the record whose item begins here, if one does.
fn record_at(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<ITEM_HEADER_BYTES>()?;
    let [2, 0, 0, _, _, _, _, _, _, _, _, k0, k1, lengths @ ..] = *head else {
        return None;
    };
    let [a0, a1, a2, a3, b @ ..] = lengths;
    let length = u32::from_le_bytes(b) as usize;
    let is_record = u16::from_le_bytes([k0, k1]) as usize == KEY_BYTES
        && [a0, a1, a2, a3] == b
        && length >= HEADER_BYTES;
    let (key, rest) = rest.split_at_checked(KEY_BYTES)?;
    is_record.then_some((key, rest.get(..length)?))
}

#[cfg(test)]
mod tests {
    use foldline_kernel::Sequence;

    use super::*;

    /// Records one after another, with what the store writes around them.
    fn journal(events: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut journal, mut ends) = (vec![1, 1, 0, 0, 0, 0], Vec::new());
        for at in 1..=events {
            let key = record::key(Lane(3), LaneSequence(at));
            let value = record::encode(&key, 0, Sequence(at), br#"{"n":[2,0,0]}"#);
            let length = u32::try_from(value.len()).unwrap().to_le_bytes();
            journal.extend([2, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 10, 0]);
            journal.extend([length, length].concat());
            journal.extend([&key[..], &value, &[3, 9, 9, 9, 9, 9, 9, 9, 9]].concat());
            ends.push(journal.len() - 9);
        }
        (journal, ends)
    }

    #[test]
    fn damage_to_a_record_is_found_where_it_is() {
        let (whole, ends) = journal(3);
        assert_eq!(first_damaged(&whole), None);
        let bytes = ends[1] - ends[0] - 9 - ITEM_HEADER_BYTES - KEY_BYTES;
        for at in ends[1] - bytes..ends[1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let (lane, lane_sequence, _) = first_damaged(&damaged).unwrap();
            assert_eq!((lane, lane_sequence), (Lane(3), LaneSequence(2)), "{at}");
        }
        assert_eq!(
            first_damaged(&whole[..ends[1] - 1]),
            None,
            "no item, no verdict"
        );
    }
}
