//! Where a list goes on: the generation, what was asked, and the last row's place in the order.
//!
//! A cursor is compact JSON in base64url. Clients pass it back and look into it at their own risk;
//! nothing in it gives rights, since every request is checked as a first one is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foldline_read_model::{ColumnType, Field, Model, Order, Value};
use foldline_tables::{GenerationNumber, OrderValue};
use serde::{Deserialize, Serialize};

use crate::{QueryError, parameters::Asked, rendering, value};

/// The longest cursor that is looked at, in bytes.
const LENGTH_MAX: usize = 16 * 1024;

/// A cursor.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cursor {
    #[serde(rename = "g")]
    pub(crate) generation: GenerationNumber,
    #[serde(rename = "q")]
    hash: String,
    #[serde(rename = "v")]
    values: Vec<serde_json::Value>,
}

impl Cursor {
    /// Reads a cursor's text.
    pub(crate) fn read(text: &str) -> Result<Self, QueryError> {
        if text.len() > LENGTH_MAX {
            return Err(QueryError::MalformedCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text);
        let bytes = bytes.map_err(|_| QueryError::MalformedCursor)?;
        serde_json::from_slice(&bytes).map_err(|_| QueryError::MalformedCursor)
    }

    /// Makes the cursor that continues after a row.
    pub(crate) fn after(
        model: &Model,
        generation: GenerationNumber,
        asked: &Asked<'_>,
        row: &[Value],
    ) -> String {
        let value = |field: Field| match field {
            Field::Column(column) => row[column].to_json(),
            Field::Derived(derived) => rendering::derived(model, derived, row).into(),
        };
        let cursor = Self {
            generation,
            hash: asked.hash.clone(),
            values: asked.order.terms.iter().map(|t| value(t.field)).collect(),
        };
        let text = serde_json::to_vec(&cursor).expect("a cursor is plain JSON");
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Returns the place in the order, if the cursor came from the same list.
    pub(crate) fn place(
        &self,
        model: &Model,
        asked: &Asked<'_>,
    ) -> Result<Vec<OrderValue>, QueryError> {
        if self.hash != asked.hash {
            return Err(QueryError::CursorOfAnotherQuery);
        }
        place(model, asked.order, &self.values).ok_or(QueryError::MalformedCursor)
    }
}

fn place(model: &Model, order: &Order, values: &[serde_json::Value]) -> Option<Vec<OrderValue>> {
    if values.len() != order.terms.len() {
        return None;
    }
    let terms = order.terms.iter().zip(values);
    terms
        .map(|(term, value)| match term.field {
            Field::Column(column) => {
                let column_type = model.columns[column].column_type;
                column_value(column_type, value).map(OrderValue::Column)
            }
            Field::Derived(_) if value.is_null() => Some(OrderValue::Derived(None)),
            Field::Derived(_) => value
                .as_f64()
                .map(|number| OrderValue::Derived(Some(number))),
        })
        .collect()
}

fn column_value(column_type: ColumnType, value: &serde_json::Value) -> Option<Value> {
    match (column_type, value) {
        (_, serde_json::Value::Null) => Some(Value::Null),
        (ColumnType::Bigint, value) => value.as_i64().map(Value::Bigint),
        (ColumnType::Bool, value) => value.as_bool().map(Value::Bool),
        (_, value) => value::parse(column_type, value.as_str()?).ok(),
    }
}
