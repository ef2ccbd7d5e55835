//! The file format of a read model: what TOML says, before anything of it is checked.
//!
//! Where the format leaves a choice: `row` at the top and under an `[on.…]` are merged, the latter
//! winning for each column; `each` and `when` under an `[on.…]` replace those at the top. An
//! expression that is a plain number or truth value may stand without quotes. `source`, `text`,
//! `order` and `fields` take one text or a list. `scope` is `user` unless said otherwise, a page
//! has 100 rows, and a query returns every column and derived value in the order of the file.

mod entries;
mod read;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

pub(crate) use entries::Entries;
pub(crate) use read::read;

/// A text that knows its place in the file.
pub(crate) type Text = Spanned<String>;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    pub(crate) name: Text,
    pub(crate) table: Text,
    pub(crate) scope: Option<Text>,
    pub(crate) source: Spanned<Texts>,
    pub(crate) key: Spanned<Key>,
    #[serde(default)]
    pub(crate) row: Entries<Formula>,
    pub(crate) present: Option<Text>,
    pub(crate) each: Option<Formula>,
    pub(crate) when: Option<Formula>,
    #[serde(default)]
    pub(crate) columns: Entries<Text>,
    #[serde(default)]
    pub(crate) on: Entries<On>,
    #[serde(default)]
    pub(crate) derived: Entries<Text>,
    #[serde(default)]
    pub(crate) query: Vec<Spanned<Query>>,
}

/// What one event type does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct On {
    pub(crate) each: Option<Formula>,
    pub(crate) when: Option<Formula>,
    #[serde(default)]
    pub(crate) row: Entries<Formula>,
    #[serde(default)]
    pub(crate) set: Entries<Formula>,
    #[serde(default)]
    pub(crate) add: Entries<Formula>,
    #[serde(default)]
    pub(crate) max: Entries<Formula>,
    #[serde(default)]
    pub(crate) min: Entries<Formula>,
    pub(crate) delete: Option<Spanned<bool>>,
}

/// One declared query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    pub(crate) name: Text,
    #[serde(default, rename = "where")]
    pub(crate) filters: Entries<Text>,
    #[serde(default)]
    pub(crate) only: Entries<Spanned<toml::Value>>,
    pub(crate) text: Option<Spanned<Texts>>,
    pub(crate) order: Option<Spanned<Texts>>,
    pub(crate) page: Option<Spanned<i64>>,
    pub(crate) fields: Option<Spanned<Texts>>,
    pub(crate) access: Option<Text>,
}

/// A list of columns, or for wide tables the columns of the partition and those that sort it.
#[derive(Debug)]
pub(crate) enum Key {
    List(Vec<Text>),
    Wide {
        partition: Vec<Text>,
        cluster: Vec<Text>,
    },
}

/// One text, or a list of them.
#[derive(Debug)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<Text>),
}

impl Texts {
    /// Returns every text with its place.
    pub(crate) fn all(texts: &Spanned<Self>) -> Vec<Text> {
        match texts.get_ref() {
            Self::One(text) => vec![Spanned::new(texts.span(), text.clone())],
            Self::Many(many) => many.clone(),
        }
    }
}

/// An expression: a text, or plainly a number or a truth value.
#[derive(Debug, Clone)]
pub(crate) struct Formula(pub(crate) Spanned<Scalar>);

/// What a formula may be written as.
#[derive(Debug, Clone)]
pub(crate) struct Scalar(pub(crate) String);

impl Formula {
    pub(crate) fn text(&self) -> &str {
        &self.0.get_ref().0
    }

    pub(crate) fn span(&self) -> std::ops::Range<usize> {
        self.0.span()
    }
}

impl<'de> Deserialize<'de> for Formula {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an expression, such as \"data.amount_cents\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.into()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Scalar, E> {
                Ok(Scalar(yes.to_string()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Texts;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.into()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Texts, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Texts::Many)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wide {
            partition: Vec<Text>,
            #[serde(default)]
            cluster: Vec<Text>,
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of columns, or { partition = […], cluster = […] }")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Key, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Key::List)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Key, A::Error> {
                let Wide { partition, cluster } =
                    Wide::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Key::Wide { partition, cluster })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
