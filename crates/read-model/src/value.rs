//! Column types and the values they hold.

use std::{cmp::Ordering, fmt, sync::Arc};

use foldline_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The type of a column; the same on every store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// 128 bits, sorted bytewise.
    Uuid,
    /// UTF-8, sorted bytewise.
    Text,
    /// A signed integer of 64 bits.
    Bigint,
    /// False sorts before true.
    Bool,
    /// Microseconds since 1970.
    Time,
    /// Any JSON value, as compact text; it cannot be part of a key or an order.
    Json,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Bigint => "bigint",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Json => "json",
        })
    }
}

impl ColumnType {
    /// Turns a value into one of this type: `json` columns hold everything as JSON.
    pub(crate) fn hold(self, value: Value) -> Value {
        match (self, value) {
            (Self::Json, value @ (Value::Null | Value::Json(_))) => value,
            (Self::Json, value) => Value::Json(value.to_json().to_string().into()),
            (_, value) => value,
        }
    }
}

/// The value of one column of one row. Null sorts before everything else, on every store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Value {
    /// Nothing was said, or null was.
    #[default]
    Null,
    /// A `uuid`.
    Uuid(Uuid),
    /// A `text`.
    Text(Arc<str>),
    /// A `bigint`.
    Bigint(i64),
    /// A `bool`.
    Bool(bool),
    /// A `time`.
    Time(Timestamp),
    /// A `json`: compact text.
    Json(Arc<str>),
}

impl Value {
    /// Returns the type, or `None` for null, which every type has.
    pub fn column_type(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Null => return None,
            Self::Uuid(_) => ColumnType::Uuid,
            Self::Text(_) => ColumnType::Text,
            Self::Bigint(_) => ColumnType::Bigint,
            Self::Bool(_) => ColumnType::Bool,
            Self::Time(_) => ColumnType::Time,
            Self::Json(_) => ColumnType::Json,
        })
    }

    /// Returns a number that sorts as the values of one column do, as far as 64 bits tell: where
    /// two differ, they say which value is less, where they are equal, the values may differ yet.
    pub fn sort_prefix(&self) -> u64 {
        let first = |bytes: &[u8]| {
            let mut prefix = [0; 8];
            let length = bytes.len().min(8);
            prefix[..length].copy_from_slice(&bytes[..length]);
            u64::from_be_bytes(prefix)
        };
        let number = |number: i64| number.cast_unsigned() ^ (1 << 63);
        match self {
            Self::Null => 0,
            Self::Uuid(id) => first(id.as_bytes()),
            Self::Text(text) | Self::Json(text) => first(text.as_bytes()),
            Self::Bigint(count) => number(*count),
            Self::Bool(yes) => u64::from(*yes),
            Self::Time(time) => number(time.micros()),
        }
    }

    /// Returns how many bytes it holds beside itself, the counts of its owners included.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len() + 2 * size_of::<usize>(),
            _ => 0,
        }
    }

    /// Tells whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns the value as clients see it: ids and times as text, `json` as what it holds.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Uuid(id) => id.as_hyphenated().to_string().into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Bigint(number) => (*number).into(),
            Self::Bool(yes) => (*yes).into(),
            Self::Time(time) => time.to_string().into(),
            Self::Json(text) => serde_json::from_str(text).unwrap_or(serde_json::Value::Null),
        }
    }

    /// Compares two values of one column in the given direction.
    pub fn compare(&self, other: &Self, descending: bool) -> Ordering {
        if descending {
            other.cmp(self)
        } else {
            self.cmp(other)
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Uuid(id) => id.as_hyphenated().fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bigint(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Json(text) => f.write_str(text),
        }
    }
}
