//! Values as CQL keeps them: uuid as 16 bytes, time as microseconds, both so that they sort as
//! everywhere else.
//!
//! CQL's own `uuid` sorts by version and by time first, and its `timestamp` has milliseconds.

use foldline_kernel::Timestamp;
use foldline_read_model::{ColumnType, Value};
use scylla::value::CqlValue;
use uuid::Uuid;

/// Returns the CQL type of a column type; within it CQL sorts as [`Value`] does.
pub(crate) fn storage(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Uuid => "blob",
        ColumnType::Text | ColumnType::Json => "text",
        ColumnType::Bigint | ColumnType::Time => "bigint",
        ColumnType::Bool => "boolean",
    }
}

/// Returns a value as it is bound; none is null.
pub(crate) fn bound(value: &Value) -> Option<CqlValue> {
    Some(match value {
        Value::Null => return None,
        Value::Uuid(id) => CqlValue::Blob(id.as_bytes().to_vec()),
        Value::Text(text) | Value::Json(text) => CqlValue::Text(text.to_string()),
        Value::Bigint(number) => CqlValue::BigInt(*number),
        Value::Bool(yes) => CqlValue::Boolean(*yes),
        Value::Time(time) => CqlValue::BigInt(time.micros()),
    })
}

/// Reads the cell of a column.
///
/// # Errors
/// What is wrong, when what is stored is no value of that type, as after a change by hand.
pub(crate) fn read(cell: Option<CqlValue>, column_type: ColumnType) -> Result<Value, String> {
    let Some(cell) = cell else {
        return Ok(Value::Null);
    };
    Ok(match (column_type, cell) {
        (ColumnType::Uuid, CqlValue::Blob(bytes)) => {
            Value::Uuid(Uuid::from_slice(&bytes).map_err(|error| error.to_string())?)
        }
        (ColumnType::Text, CqlValue::Text(text)) => Value::Text(text.into()),
        (ColumnType::Json, CqlValue::Text(text)) => Value::Json(text.into()),
        (ColumnType::Bigint, CqlValue::BigInt(number)) => Value::Bigint(number),
        (ColumnType::Bool, CqlValue::Boolean(yes)) => Value::Bool(yes),
        (ColumnType::Time, CqlValue::BigInt(micros)) => {
            Value::Time(Timestamp::from_micros(micros).map_err(|error| error.to_string())?)
        }
        // A text without letters may come as a value without content.
        (ColumnType::Text, CqlValue::Empty) => Value::Text("".into()),
        (ColumnType::Json, CqlValue::Empty) => Value::Json("".into()),
        (column_type, cell) => return Err(format!("{cell:?} is no {column_type}")),
    })
}

/// Returns about how many bytes a value takes on its way.
pub(crate) fn bytes(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Uuid(_) => 20,
        Value::Text(text) | Value::Json(text) => 4 + text.len(),
        Value::Bigint(_) | Value::Bool(_) | Value::Time(_) => 12,
    }
}
