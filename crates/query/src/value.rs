//! Values as clients write them.

use foldline_kernel::Timestamp;
use foldline_read_model::{ColumnType, Value};
use uuid::Uuid;

/// Reads a value of a type; the error is a clause.
pub(crate) fn parse(column_type: ColumnType, text: &str) -> Result<Value, String> {
    match column_type {
        ColumnType::Uuid => Uuid::try_parse(text)
            .map(Value::Uuid)
            .map_err(|_| "it is no UUID".into()),
        ColumnType::Text => Ok(Value::Text(text.into())),
        ColumnType::Bigint => text
            .parse()
            .map(Value::Bigint)
            .map_err(|_| "it is no integer of 64 bits".into()),
        ColumnType::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("it is neither `true` nor `false`".into()),
        },
        ColumnType::Time => text
            .parse::<Timestamp>()
            .map(Value::Time)
            .map_err(|_| "it is no time such as `2026-11-21T20:16:49Z` (RFC 3339)".into()),
        ColumnType::Json => Err("JSON cannot be asked for".into()),
    }
}

/// A hash that is the same in every process and release (FNV-1a, 64 bits,
/// <http://www.isthe.com/chongo/tech/comp/fnv/>): cursors and tags carry it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let mut hash = Fnv::new();
        hash.add(b"foobar");
        assert_eq!(hash.hex(), "85944171f73967e8");
    }

    #[test]
    fn values_are_read_strictly() {
        assert_eq!(parse(ColumnType::Bigint, "-7"), Ok(Value::Bigint(-7)));
        for (column_type, refused) in [
            (ColumnType::Bigint, "9223372036854775808"),
            (ColumnType::Bigint, "1.0"),
            (ColumnType::Bool, "1"),
            (ColumnType::Time, "2018-01-31"),
            (ColumnType::Uuid, "7"),
            (ColumnType::Json, "{}"),
        ] {
            assert!(parse(column_type, refused).is_err(), "{refused}");
        }
    }
}
