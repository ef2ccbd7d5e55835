//! Rows that a writer has written lately, so that it need not read them again.
//!
//! The cache speaks for the table only as long as nobody else writes to it. Its owner asks the
//! store inside every transaction whether somebody did (SQLite's `PRAGMA data_version`, a counter
//! of commits on Postgres), and clears it if so.

use foldline_read_model::{RowKey, RowValues, Value};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

/// The most bytes of rows, roughly counted, in each of the two halves.
const HALF_BYTES_MAX: usize = 16 << 20;
/// The most keys whose hashes are kept (of 8 bytes each).
const KEYS_MAX: usize = 2_000_000;

/// What is known of a row without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The row as it stands.
    Row(RowValues),
    /// There is none.
    Absent,
    /// Nothing: it has to be read.
    Nothing,
}

/// A bounded cache. Rows move to the young half when they are used; when it is full, it becomes
/// the old half, and what nobody used since is forgotten with the old one.
#[derive(Debug, Default)]
pub(crate) struct RowCache {
    young: FxHashMap<RowKey, Option<RowValues>>,
    old: FxHashMap<RowKey, Option<RowValues>>,
    young_bytes: usize,
    /// Hashes of all keys that the table can have, where it was seen empty: a row whose hash is
    /// not among them is not there. That spares a growing table the reading of what is new.
    keys: Option<FxHashSet<u64>>,
}

impl RowCache {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Starts to keep track of all keys of a table that has no row yet.
    pub(crate) fn table_is_empty(&mut self) {
        self.clear();
        self.keys = Some(FxHashSet::default());
    }

    /// Takes out what is known of a row: it is about to be written, and then put back.
    pub(crate) fn take(&mut self, key: &RowKey) -> Known {
        // What is taken stays counted: a row written often brings the halves' change nearer, and
        // is then the first in the new one.
        if let Some(known) = self.young.remove(key).or_else(|| self.old.remove(key)) {
            return known.map_or(Known::Absent, Known::Row);
        }
        match &self.keys {
            Some(keys) if !keys.contains(&hash(key)) => Known::Absent,
            _ => Known::Nothing,
        }
    }

    /// Tells whether a row is certainly not there, without taking anything out.
    pub(crate) fn is_absent(&self, key: &RowKey) -> bool {
        match self.young.get(key).or_else(|| self.old.get(key)) {
            Some(known) => known.is_none(),
            None => (self.keys.as_ref()).is_some_and(|keys| !keys.contains(&hash(key))),
        }
    }

    /// Notes that a row may be there from now on, without remembering what it is.
    pub(crate) fn note(&mut self, key: &RowKey) {
        if let Some(keys) = &mut self.keys {
            keys.insert(hash(key));
            if keys.len() > KEYS_MAX {
                self.keys = None;
            }
        }
    }

    /// Keeps a row in step with a change that is written without reading it: what is known
    /// changes, what is not known stays so. `more` is how many bytes the change may add.
    pub(crate) fn update(
        &mut self,
        key: &RowKey,
        more: usize,
        change: impl FnOnce(Option<RowValues>) -> Option<RowValues>,
    ) {
        if let Some(known) = self.young.get_mut(key) {
            *known = change(known.take());
            return self.grow(more);
        }
        let before = match self.take(key) {
            Known::Row(values) => Some(values),
            Known::Absent => None,
            Known::Nothing => return,
        };
        self.put(key, change(before));
    }

    /// Remembers a row as it has been written (`None`: deleted).
    pub(crate) fn put(&mut self, key: &RowKey, row: Option<RowValues>) {
        self.note(key);
        self.old.remove(key);
        let more = bytes(key, row.as_ref());
        self.young.insert(key.clone(), row);
        self.grow(more);
    }

    fn grow(&mut self, more: usize) {
        self.young_bytes += more;
        if self.young_bytes > HALF_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

fn hash(key: &RowKey) -> u64 {
    use std::hash::BuildHasher;
    FxBuildHasher.hash_one(key)
}

/// Counts a row with what the map and the allocator need for it.
fn bytes(key: &RowKey, row: Option<&RowValues>) -> usize {
    const ENTRY: usize = 128;
    let values = key.iter().chain(row.into_iter().flatten());
    ENTRY
        + values
            .map(|value| size_of::<Value>() + value.heap_bytes())
            .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn key(number: i64) -> RowKey {
        smallvec![Value::Bigint(number)]
    }

    fn row(text: &str) -> RowValues {
        vec![Value::Text(text.into())]
    }

    #[test]
    fn what_was_put_is_known_until_it_is_taken_or_cleared() {
        let mut cache = RowCache::default();
        assert_eq!(cache.take(&key(1)), Known::Nothing);
        cache.put(&key(1), Some(row("one")));
        cache.put(&key(2), None);
        cache.put(&key(3), Some(row("three")));
        assert_eq!(cache.take(&key(1)), Known::Row(row("one")));
        assert_eq!(cache.take(&key(1)), Known::Nothing);
        assert_eq!(cache.take(&key(2)), Known::Absent);
        cache.clear();
        assert_eq!(cache.take(&key(3)), Known::Nothing);
    }

    #[test]
    fn an_empty_table_has_no_row_that_was_never_put() {
        let mut cache = RowCache::default();
        cache.table_is_empty();
        assert_eq!(cache.take(&key(1)), Known::Absent);
        let long = "x".repeat(1 << 20);
        for number in 0..64 {
            cache.put(&key(number), Some(row(&long)));
        }
        assert_eq!(cache.take(&key(0)), Known::Nothing, "forgotten, but there");
        assert_eq!(cache.take(&key(63)), Known::Row(row(&long)));
        assert_eq!(cache.take(&key(64)), Known::Absent);
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = RowCache::default();
        let long = "x".repeat(1 << 20);
        for number in 0..200 {
            cache.put(&key(number), Some(row(&long)));
            if number % 5 == 0 {
                assert!(number == 0 || cache.take(&key(0)) != Known::Nothing);
                cache.put(&key(0), Some(row(&long)));
            }
            assert!(cache.young.len() + cache.old.len() <= 40);
        }
    }
}
