//! Rows that a writer has written lately, so that it need not read them again.
//!
//! A row here is the fold of all its events up to some place, which nobody else can make untrue:
//! another writer folds the same events to the same row. It is out of date only where this writer
//! did not see all events after that place; its owner then forgets everything.

use std::hash::BuildHasher;

use foldline_kernel::{Lane, LaneSequence};
use foldline_read_model::{RowKey, RowValues, Value};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

/// The most bytes of rows, roughly counted, in each of the two halves.
const HALF_BYTES_MAX: usize = 16 << 20;
/// The most keys whose hashes are kept (of 8 bytes each).
const KEYS_MAX: usize = 2_000_000;

/// A row, and the lane that writes it.
pub(crate) type RowId = (RowKey, Lane);

/// A row as it is folded up to a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// The last event in it; 0 where there was none.
    pub(crate) last: LaneSequence,
    /// None where there was no event, or the last one deleted it.
    pub(crate) values: Option<RowValues>,
}

/// A bounded cache. Rows move to the young half when they are used; when it is full, it becomes
/// the old half, and what nobody used since is forgotten with the old one.
#[derive(Debug, Default)]
pub(crate) struct RowCache {
    young: FxHashMap<RowId, Folded>,
    old: FxHashMap<RowId, Folded>,
    young_bytes: usize,
    /// The lanes that this writer folds from their first event on.
    from_the_first: FxHashSet<Lane>,
    /// Hashes of the rows that those lanes have touched: whatever else is asked for has had no
    /// event yet, so it need not be read. None once there are too many.
    touched: Option<FxHashSet<u64>>,
}

impl RowCache {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Says that all events of a lane pass here from the first on.
    pub(crate) fn begins(&mut self, lane: Lane) {
        if self.from_the_first.is_empty() {
            self.touched = Some(FxHashSet::default());
        }
        self.from_the_first.insert(lane);
    }

    /// Returns what is known of a row without reading it.
    pub(crate) fn get(&mut self, id: &RowId) -> Option<Folded> {
        if let Some(known) = self.young.get(id) {
            return Some(known.clone());
        }
        if let Some(known) = self.old.remove(id) {
            self.put(id.clone(), known.clone());
            return Some(known);
        }
        let untouched = self.from_the_first.contains(&id.1)
            && self
                .touched
                .as_ref()
                .is_some_and(|all| !all.contains(&hash(id)));
        untouched.then(Folded::default)
    }

    /// Remembers a row that has been read or written.
    pub(crate) fn put(&mut self, id: RowId, row: Folded) {
        self.touch(&id);
        self.old.remove(&id);
        self.young_bytes += bytes(&id, &row);
        self.young.insert(id, row);
        if self.young_bytes > HALF_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    /// Notes that a row is about to be written; whether it then is does not matter.
    pub(crate) fn touch(&mut self, id: &RowId) {
        if let Some(touched) = &mut self.touched {
            touched.insert(hash(id));
            if touched.len() > KEYS_MAX {
                self.touched = None;
            }
        }
    }
}

fn hash(id: &RowId) -> u64 {
    FxBuildHasher.hash_one(id)
}

/// Counts a row with what the map and the allocator need for it.
fn bytes(id: &RowId, row: &Folded) -> usize {
    const ENTRY: usize = 144;
    let text = |value: &Value| match value {
        Value::Text(text) | Value::Json(text) => text.len() + 16,
        _ => 0,
    };
    let values = id.0.iter().chain(row.values.iter().flatten());
    ENTRY
        + values
            .map(|value| size_of::<Value>() + text(value))
            .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn id(number: i64, lane: u16) -> RowId {
        (smallvec![Value::Bigint(number)], Lane(lane))
    }

    fn row(last: u64, text: &str) -> Folded {
        Folded {
            last: LaneSequence(last),
            values: Some(vec![Value::Text(text.into())]),
        }
    }

    #[test]
    fn what_was_put_is_known_until_everything_is_forgotten() {
        let mut cache = RowCache::default();
        assert_eq!(cache.get(&id(1, 0)), None);
        cache.put(id(1, 0), row(5, "one"));
        assert_eq!(cache.get(&id(1, 0)), Some(row(5, "one")));
        assert_eq!(cache.get(&id(1, 1)), None, "another lane, another row");
        cache.clear();
        assert_eq!(cache.get(&id(1, 0)), None);
    }

    #[test]
    fn a_lane_that_is_folded_from_the_first_event_has_no_row_that_it_never_touched() {
        let mut cache = RowCache::default();
        cache.begins(Lane(1));
        assert_eq!(cache.get(&id(1, 1)), Some(Folded::default()));
        assert_eq!(cache.get(&id(1, 0)), None, "that lane began elsewhere");
        let long = "x".repeat(1 << 20);
        for number in 0..64 {
            cache.put(id(number, 1), row(9, &long));
        }
        assert_eq!(cache.get(&id(0, 1)), None, "forgotten, but there");
        assert_eq!(cache.get(&id(63, 1)), Some(row(9, &long)));
        assert_eq!(cache.get(&id(64, 1)), Some(Folded::default()));
        cache.touch(&id(64, 1));
        assert_eq!(cache.get(&id(64, 1)), None, "it may have been written");
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = RowCache::default();
        let long = "x".repeat(1 << 20);
        cache.put(id(0, 0), row(1, &long));
        for number in 1..200 {
            cache.put(id(number, 0), row(1, &long));
            assert!(cache.get(&id(0, 0)).is_some(), "{number}");
            assert!(cache.young.len() + cache.old.len() <= 40);
        }
    }
}
