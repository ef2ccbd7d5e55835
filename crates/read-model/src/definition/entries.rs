//! A TOML table that keeps the order of the file, which the order of columns and answers follows.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, de};

use super::Text;

/// Names and values, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(Vec<(Text, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Text, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find_map(|(known, value)| (known.get_ref() == name).then_some(value))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.get_ref().as_str())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry::<Text, T>()? {
                    entries.push(entry);
                }
                // The parser hands tables over by name.
                entries.sort_by_key(|(name, _)| name.span().start);
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Visitor(PhantomData))
    }
}
