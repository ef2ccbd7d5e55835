//! Rows that a writer has written lately, so that it need not read them again.
//!
//! The cache speaks for the file only as long as nobody else writes to it. Its owner asks SQLite
//! inside every transaction whether somebody did (`PRAGMA data_version`), and clears it if so.

use foldline_read_model::{RowKey, RowValues, Value};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

/// The most bytes of rows, roughly counted, in each of the two halves.
const HALF_BYTES_MAX: usize = 16 << 20;
/// The most keys whose hashes are kept (of 8 bytes each).
const KEYS_MAX: usize = 2_000_000;

/// What is known of a row without reading it.
#[derive(Debug, PartialEq, Eq)]
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

    /// Remembers a row as it has been written (`None`: deleted).
    pub(crate) fn put(&mut self, key: &RowKey, row: Option<RowValues>) {
        if let Some(keys) = &mut self.keys {
            keys.insert(hash(key));
            if keys.len() > KEYS_MAX {
                self.keys = None;
            }
        }
        self.old.remove(key);
        self.young_bytes += bytes(key, row.as_ref());
        self.young.insert(key.clone(), row);
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
    let text = |value: &Value| match value {
        Value::Text(text) | Value::Json(text) => text.len() + 16,
        _ => 0,
    };
    let values = key.iter().chain(row.into_iter().flatten());
    ENTRY
        + values
            .map(|value| size_of::<Value>() + text(value))
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
