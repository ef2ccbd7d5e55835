//! Values as SQLite keeps them: uuid as 16 bytes, time as microseconds, bool as 0 or 1.

use std::sync::Arc;

use foldline_kernel::Timestamp;
use foldline_read_model::{ColumnType, Value};
use sqlx::{
    Arguments, Decode, Row, Sqlite, ValueRef,
    sqlite::{SqliteArguments, SqliteRow, SqliteValueRef},
};
use uuid::Uuid;

/// Returns the storage class of a column type.
///
/// Within a class SQLite compares as [`Value`] does: integers by number, text and blobs bytewise,
/// null below everything.
pub(crate) fn storage(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Uuid => "BLOB",
        ColumnType::Text | ColumnType::Json => "TEXT",
        ColumnType::Bigint | ColumnType::Bool | ColumnType::Time => "INTEGER",
    }
}

/// Binds a value as the next parameter.
pub(crate) fn bind(arguments: &mut SqliteArguments, value: &Value) -> Result<(), sqlx::Error> {
    match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Uuid(id) => arguments.add(id.as_bytes().to_vec()),
        Value::Text(text) | Value::Json(text) => arguments.add(Arc::clone(text)),
        Value::Bigint(number) => arguments.add(*number),
        Value::Bool(yes) => arguments.add(i64::from(*yes)),
        Value::Time(time) => arguments.add(time.micros()),
    }
    .map_err(sqlx::Error::Encode)
}

/// Reads a column of a row.
///
/// # Errors
/// When what is stored is no value of that type, as after a change by hand.
pub(crate) fn read(
    row: &SqliteRow,
    index: usize,
    column_type: ColumnType,
) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    decode(raw, column_type).map_err(sqlx::Error::Decode)
}

fn decode(
    raw: SqliteValueRef<'_>,
    column_type: ColumnType,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    Ok(match column_type {
        ColumnType::Uuid => Value::Uuid(Uuid::from_slice(<&[u8] as Decode<Sqlite>>::decode(raw)?)?),
        ColumnType::Text => Value::Text(<&str as Decode<Sqlite>>::decode(raw)?.into()),
        ColumnType::Json => Value::Json(<&str as Decode<Sqlite>>::decode(raw)?.into()),
        ColumnType::Bigint => Value::Bigint(<i64 as Decode<Sqlite>>::decode(raw)?),
        ColumnType::Bool => Value::Bool(<i64 as Decode<Sqlite>>::decode(raw)? != 0),
        ColumnType::Time => Value::Time(Timestamp::from_micros(<i64 as Decode<Sqlite>>::decode(
            raw,
        )?)?),
    })
}
