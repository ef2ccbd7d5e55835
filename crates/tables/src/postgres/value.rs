//! Values as Postgres keeps them, in its binary format.
//!
//! A field is its length and its bytes, the same in `COPY`, in arrays and in rows that are read.

use std::borrow::Cow;

use foldline_kernel::Timestamp;
use foldline_read_model::{ColumnType, Value};
use sqlx::{
    Encode, Postgres, Row, Type, ValueRef,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgRow, PgTypeInfo, PgValueFormat, types::Oid},
};
use uuid::Uuid;

/// Postgres counts its times from the year 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Returns how a column is declared.
///
/// Each type sorts as [`Value`] does: ids and, with the collation `C`, texts bytewise; `json` keeps
/// its text as it is.
pub(crate) fn declared(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Uuid => "uuid",
        ColumnType::Text => "text COLLATE \"C\"",
        ColumnType::Bigint => "bigint",
        ColumnType::Bool => "boolean",
        ColumnType::Time => "timestamptz",
        ColumnType::Json => "json",
    }
}

/// Returns the name of a type for casts.
pub(crate) fn name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "text",
        other => declared(other),
    }
}

/// The numbers of the types and of their arrays, which are the same on every server
/// (<https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat>).
pub(crate) fn oids(column_type: ColumnType) -> (Oid, Oid) {
    let (element, array) = match column_type {
        ColumnType::Uuid => (2950, 2951),
        ColumnType::Text => (25, 1009),
        ColumnType::Bigint => (20, 1016),
        ColumnType::Bool => (16, 1000),
        ColumnType::Time => (1184, 1185),
        ColumnType::Json => (114, 199),
    };
    (Oid(element), Oid(array))
}

/// Appends a value as a field.
pub(crate) fn put(buffer: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => buffer.extend(NULL),
        Value::Uuid(id) => put_bytes(buffer, id.as_bytes()),
        Value::Text(text) => put_bytes(buffer, escaped(text).as_bytes()),
        // JSON has its own way to write what a text of Postgres cannot hold.
        Value::Json(text) => put_bytes(buffer, text.as_bytes()),
        Value::Bigint(number) => put_bytes(buffer, &number.to_be_bytes()),
        Value::Bool(yes) => put_bytes(buffer, &[u8::from(*yes)]),
        Value::Time(time) => put_bytes(buffer, &(time.micros() - EPOCH_MICROS).to_be_bytes()),
    }
}

pub(crate) fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).expect("a value has far less than 2 GiB");
    buffer.extend(length.to_be_bytes());
    buffer.extend_from_slice(bytes);
}

pub(crate) fn put_null(buffer: &mut Vec<u8>) {
    buffer.extend(NULL);
}

/// A text of Postgres cannot hold U+0000, and a fact may. It is written as U+0001 U+0001, and
/// U+0001 itself as U+0001 U+0002: so every text comes back, and all of them sort as before.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte < 2) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\u{0}' => escaped.push_str("\u{1}\u{1}"),
            '\u{1}' => escaped.push_str("\u{1}\u{2}"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Undoes [`escaped`].
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1}') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\u{1}' if letters.next() == Some('\u{1}') => '\u{0}',
            other => other,
        });
    }
    Cow::Owned(plain)
}

/// Reads a column of a row.
///
/// # Errors
/// When what is stored is no value of that type, as after a change by hand.
pub(crate) fn read(
    row: &PgRow,
    index: usize,
    column_type: ColumnType,
) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    if raw.format() != PgValueFormat::Binary {
        return Err(sqlx::Error::Decode("a value came as text".into()));
    }
    let decoded = raw.as_bytes().and_then(|bytes| decode(bytes, column_type));
    decoded.map_err(sqlx::Error::Decode)
}

fn decode(bytes: &[u8], column_type: ColumnType) -> Result<Value, BoxDynError> {
    let text = || std::str::from_utf8(bytes);
    let number = || bytes.try_into().map(i64::from_be_bytes);
    Ok(match column_type {
        ColumnType::Uuid => Value::Uuid(Uuid::from_slice(bytes)?),
        ColumnType::Text => Value::Text(unescaped(text()?).into()),
        ColumnType::Json => Value::Json(text()?.into()),
        ColumnType::Bigint => Value::Bigint(number()?),
        ColumnType::Bool => Value::Bool(bytes == [1]),
        ColumnType::Time => {
            let micros = number()?.checked_add(EPOCH_MICROS);
            let micros = micros.ok_or("a time that is too far away")?;
            Value::Time(Timestamp::from_micros(micros)?)
        }
    })
}

/// A value as a parameter.
pub(crate) struct Parameter<'v>(pub(crate) &'v Value, pub(crate) ColumnType);

impl Type<Postgres> for Parameter<'_> {
    /// Not asked for: every parameter says its own type.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Parameter<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        if self.0.is_null() {
            return Ok(IsNull::Yes);
        }
        let mut field = Vec::new();
        put(&mut field, self.0);
        buffer.extend_from_slice(&field[4..]);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(oids(self.1).0))
    }
}

/// A column of several rows, as an array parameter.
pub(crate) struct Array {
    column_type: ColumnType,
    count: i32,
    nulls: bool,
    fields: Vec<u8>,
}

impl Array {
    pub(crate) fn new(column_type: ColumnType) -> Self {
        Self {
            column_type,
            count: 0,
            nulls: false,
            fields: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, value: &Value) {
        self.count += 1;
        self.nulls |= value.is_null();
        put(&mut self.fields, value);
    }

    /// Appends a text that holds no U+0000.
    pub(crate) fn push_text(&mut self, text: Option<&str>) {
        self.count += 1;
        match text {
            Some(text) => put_bytes(&mut self.fields, text.as_bytes()),
            None => {
                self.nulls = true;
                put_null(&mut self.fields);
            }
        }
    }
}

impl Type<Postgres> for Array {
    /// Not asked for: every parameter says its own type.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let header = array_header(oids(self.column_type).0, self.count, self.nulls);
        buffer.extend_from_slice(&header);
        buffer.extend_from_slice(&self.fields);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(oids(self.column_type).1))
    }

    fn size_hint(&self) -> usize {
        20 + self.fields.len()
    }
}

/// What an array begins with: dimensions, whether there are nulls, the elements' type, and then
/// the length and the lowest index of its only dimension.
pub(crate) fn array_header(element: Oid, count: i32, nulls: bool) -> Vec<u8> {
    let dimensions = i32::from(count > 0);
    let mut header = Vec::with_capacity(20);
    header.extend(dimensions.to_be_bytes());
    header.extend(i32::from(nulls).to_be_bytes());
    header.extend(element.0.to_be_bytes());
    if count > 0 {
        header.extend(count.to_be_bytes());
        header.extend(1_i32.to_be_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back_and_sorts_as_before(
            a in "[\u{0}-\u{3}a]{0,6}",
            b in "[\u{0}-\u{3}a]{0,6}",
        ) {
            let (kept, other) = (escaped(&a), escaped(&b));
            prop_assert_eq!(unescaped(&kept), a.as_str());
            let fits = !kept.contains('\u{0}');
            prop_assert!(fits);
            prop_assert_eq!(kept.cmp(&other), a.cmp(&b));
        }
    }
}
