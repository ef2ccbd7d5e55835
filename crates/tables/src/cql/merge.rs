//! From what is stored to rows: contributions of several lanes are put together, rows that are
//! gone are left out.

use foldline_kernel::{Lane, LaneSequence};
use foldline_read_model::{Model, Role, RowKey, RowValues, Value};

use super::{rows::Stored, trouble::Fault};
use crate::DatedRow;

/// Puts the contributions of one row together, which come one after another.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    key: RowKey,
    lanes: Vec<(Lane, LaneSequence)>,
    contributions: Vec<RowValues>,
}

impl Merge {
    /// Takes the next stored row; returns the row before it once that is whole.
    ///
    /// # Errors
    /// [`Fault::Broken`] where a total does not fit in 64 bits.
    pub(crate) fn take(
        &mut self,
        model: &Model,
        stored: Stored,
    ) -> Result<Option<DatedRow>, Fault> {
        let whole = if self.key == stored.key {
            None
        } else {
            self.end(model)?
        };
        self.key = stored.key;
        self.lanes.push((stored.lane, stored.last));
        if !stored.gone {
            self.contributions.push(stored.values);
        }
        Ok(whole)
    }

    /// Returns the last row.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) fn end(&mut self, model: &Model) -> Result<Option<DatedRow>, Fault> {
        if self.lanes.is_empty() {
            return Ok(None);
        }
        let mut contributions = std::mem::take(&mut self.contributions).into_iter();
        let mut values = contributions.next();
        for more in contributions {
            let values = values.as_mut().expect("there was one before");
            for ((value, more), column) in values.iter_mut().zip(more).zip(model.value_columns()) {
                *value = together(column.role, value, more).ok_or_else(|| {
                    Fault::Broken(format!(
                        "the total in `{}` leaves the range of a bigint",
                        column.name
                    ))
                })?;
            }
        }
        Ok(Some(DatedRow {
            key: std::mem::take(&mut self.key),
            values,
            places: std::mem::take(&mut self.lanes),
        }))
    }
}

/// Puts two lanes' values of a column together; the order does not matter.
fn together(role: Role, one: &Value, other: Value) -> Option<Value> {
    Some(match (role, one, other) {
        (_, one, Value::Null) => one.clone(),
        (_, Value::Null, other) => other,
        (Role::Add, Value::Bigint(one), Value::Bigint(other)) => {
            Value::Bigint(one.checked_add(other)?)
        }
        (Role::Min, one, other) => one.clone().min(other),
        (_, one, other) => one.clone().max(other),
    })
}
