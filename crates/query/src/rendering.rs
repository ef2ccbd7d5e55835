//! Rows as JSON text, written straight from the values.

use std::io::Write;

use foldline_read_model::{Field, Model, Value};
use serde::{Serialize, de::IgnoredAny};

use crate::HeldBack;

/// Returns the name of a field as clients see it.
pub(crate) fn name(model: &Model, field: Field) -> &str {
    match field {
        Field::Column(column) => &model.columns[column].name,
        Field::Derived(derived) => &model.derived[derived].name,
    }
}

/// Computes a derived value of a row: null where it divides by 0, or where either is null.
pub(crate) fn derived(model: &Model, derived: usize, row: &[Value]) -> Option<f64> {
    let derived = &model.derived[derived];
    match (&row[derived.dividend], &row[derived.divisor]) {
        (Value::Bigint(_), Value::Bigint(0)) => None,
        (Value::Bigint(dividend), Value::Bigint(divisor)) => {
            Some(*dividend as f64 / *divisor as f64)
        }
        _ => None,
    }
}

/// Writes an answer's body.
pub(crate) fn body(
    model: &Model,
    fields: &[Field],
    rows: &[Vec<Value>],
    next: Option<&str>,
    held_back: Option<&HeldBack>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + rows.len() * fields.len() * 24);
    // The names are the same in every row: `{"order_id":`, `,"status":`, …
    let names: Vec<Vec<u8>> = fields
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let mut out = vec![if place == 0 { b'{' } else { b',' }];
            json(&mut out, name(model, *field));
            out.push(b':');
            out
        })
        .collect();
    out.extend_from_slice(b"{\"rows\":[");
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        for (field, name) in fields.iter().zip(&names) {
            out.extend_from_slice(name);
            match field {
                Field::Column(column) => value(&mut out, &row[*column]),
                Field::Derived(place) => json(&mut out, &derived(model, *place, row)),
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    if let Some(next) = next {
        out.extend_from_slice(b",\"next\":");
        json(&mut out, next);
    }
    if let Some(held_back) = held_back {
        out.extend_from_slice(b",\"parked\":");
        json(&mut out, held_back);
    }
    out.push(b'}');
    out
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bigint(number) => json(out, number),
        Value::Bool(yes) => json(out, yes),
        Value::Text(text) => json(out, text.as_ref()),
        // Neither an id nor a time has anything to escape.
        Value::Uuid(id) => written(out, format_args!("\"{}\"", id.as_hyphenated())),
        Value::Time(time) => written(out, format_args!("\"{time}\"")),
        // It is JSON already, unless somebody changed it by hand.
        Value::Json(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            out.extend_from_slice(text.as_bytes());
        }
        Value::Json(_) => out.extend_from_slice(b"null"),
    }
}

fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("writing to memory does not fail");
}

fn written(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to memory does not fail");
}
