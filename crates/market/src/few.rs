//! A map of few entries, as most users have of most things.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

/// A map without room to spare: a `BTreeMap` of one entry takes that of eleven, and there are many
/// users. Its JSON is that of any map.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    from = "BTreeMap<K, V>",
    bound = "K: Ord + Deserialize<'de>, V: Deserialize<'de>"
)]
pub(crate) struct Few<K, V> {
    /// Sorted by key.
    entries: Vec<(K, V)>,
}

impl<K: Ord, V> Few<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let place = self.place(key).ok()?;
        Some(&self.entries[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key).ok()?;
        Some(&mut self.entries[place].1)
    }

    /// Puts a value in place of whatever had the key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(place) => self.entries[place].1 = value,
            Err(place) => {
                if self.entries.len() == self.entries.capacity() {
                    // By a quarter: who has many pays for few moves.
                    self.entries.reserve_exact((self.entries.len() / 4).max(1));
                }
                self.entries.insert(place, (key, value));
            }
        }
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(key))
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<K: Ord, V> From<BTreeMap<K, V>> for Few<K, V> {
    fn from(map: BTreeMap<K, V>) -> Self {
        let mut entries: Vec<_> = map.into_iter().collect();
        entries.shrink_to_fit();
        Self { entries }
    }
}

impl<K: Serialize, V: Serialize> Serialize for Few<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_map_that_its_json_says() {
        let mut few = Few::default();
        for (key, value) in [("b", 1), ("a", 2), ("b", 3), ("c", 4)] {
            few.insert(key.to_owned(), value);
        }
        let json = serde_json::to_string(&few).unwrap();
        assert_eq!(json, r#"{"a":2,"b":3,"c":4}"#);
        assert_eq!(
            serde_json::from_str::<Few<String, i32>>(&json).unwrap(),
            few
        );
        *few.get_mut(&"a".to_owned()).unwrap() = 5;
        assert_eq!(few.get(&"a".to_owned()), Some(&5));
        assert_eq!(few.get(&"d".to_owned()), None);
    }
}
