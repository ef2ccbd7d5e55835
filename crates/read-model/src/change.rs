//! What events do to one row, folded into one change before it is written.

use foldline_kernel::LaneSequence;
use smallvec::SmallVec;

use crate::{Model, Role, Value};

/// The key of a row: the values of the model's key columns, in order.
pub type RowKey = SmallVec<[Value; 3]>;

/// The values of the model's columns after the key, in order.
pub type RowValues = Vec<Value>;

/// What one or more events, in order, do to one row.
///
/// Changes compose: applying `a` and then `b` gives the row that applying `a.then(b)` gives. That
/// is what allows any batching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row is deleted before the columns below apply; it starts afresh.
    pub reset: bool,
    /// Whether the row is there afterwards.
    pub present: bool,
    /// Per touched column (an index into [`Model::columns`]) its combined operand: what a `set`
    /// sets, the sum of what is added, the greatest or the least. Ascending by column.
    pub operands: SmallVec<[(u16, Value); 4]>,
    /// The lane sequence of the last event in it.
    pub last: LaneSequence,
    /// How many events it combines.
    pub events: u32,
    /// How far the sums can stray on the way: all added magnitudes together.
    ///
    /// A sum may leave its range at one event and come back at the next. Applied one by one the
    /// first of them fails, so a change of several events must not hide it: it is applied only
    /// where no order of its parts could overflow, and refused otherwise ([`Overflow`]), upon
    /// which the caller applies the events one by one. So any batching parks the same user.
    pub reach: u64,
}

/// A sum leaves the range of a `bigint`, or (over several events) might on the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sum in column `{column}` leaves the range of a bigint")]
pub struct Overflow {
    /// The column's name.
    pub column: String,
}

impl Change {
    /// A change that touches no column yet but brings the row into being.
    pub fn upsert(last: LaneSequence) -> Self {
        Self::touching(0, last)
    }

    /// As [`Self::upsert`], with room for the columns that it is going to touch.
    pub(crate) fn touching(columns: usize, last: LaneSequence) -> Self {
        Self {
            reset: false,
            present: true,
            operands: SmallVec::with_capacity(columns),
            last,
            events: 1,
            reach: 0,
        }
    }

    /// A change that deletes the row.
    pub fn delete(last: LaneSequence) -> Self {
        Self {
            reset: true,
            present: false,
            operands: SmallVec::new(),
            last,
            events: 1,
            reach: 0,
        }
    }

    /// Adds an operand to a column that this change does not touch yet.
    pub fn touch(&mut self, model: &Model, column: usize, operand: Value) {
        if let (Role::Add, Value::Bigint(more)) = (model.columns[column].role, &operand) {
            self.reach = self.reach.saturating_add(more.unsigned_abs());
        }
        let column = u16::try_from(column).expect("the check bounds the number of columns");
        match self.operands.last() {
            Some((last, _)) if *last > column => {
                let at = self.operands.partition_point(|(known, _)| *known < column);
                self.operands.insert(at, (column, operand));
            }
            // The rules name their columns in order.
            _ => self.operands.push((column, operand)),
        }
    }

    /// Returns how many bytes it holds beside itself, roughly counted.
    pub fn heap_bytes(&self) -> usize {
        let spilled = match self.operands.spilled() {
            true => self.operands.capacity() * size_of::<(u16, Value)>(),
            false => 0,
        };
        let operands = self.operands.iter();
        spilled + operands.map(|(_, value)| value.heap_bytes()).sum::<usize>()
    }

    /// Composes this change with another one of the same event (two lines of one order).
    ///
    /// # Errors
    /// [`Overflow`] when two added values do not fit together.
    pub fn and(&mut self, model: &Model, same_event: Self) -> Result<(), Overflow> {
        let events = self.events;
        self.compose(model, same_event)?;
        self.events = events;
        Ok(())
    }

    /// Composes this change with the one that follows it.
    ///
    /// # Errors
    /// [`Overflow`] when some order of the parts might overflow; this change is then spoilt.
    pub fn then(&mut self, model: &Model, next: Self) -> Result<(), Overflow> {
        self.compose(model, next)?;
        if self.reach > i64::MAX as u64 {
            return Err(Overflow {
                column: self.first_sum(model),
            });
        }
        Ok(())
    }

    fn compose(&mut self, model: &Model, next: Self) -> Result<(), Overflow> {
        let (events, reach) = (
            self.events + next.events,
            self.reach.saturating_add(next.reach),
        );
        if next.reset {
            *self = next;
        } else {
            for (column, operand) in next.operands {
                match self
                    .operands
                    .binary_search_by_key(&column, |(known, _)| *known)
                {
                    Ok(at) => {
                        let before = &self.operands[at].1;
                        let combined = combine(model, usize::from(column), before, operand)?;
                        self.operands[at].1 = combined;
                    }
                    Err(at) => self.operands.insert(at, (column, operand)),
                }
            }
            self.present |= next.present;
            self.last = next.last;
        }
        (self.events, self.reach) = (events, reach);
        Ok(())
    }

    fn first_sum(&self, model: &Model) -> String {
        let sums = self
            .operands
            .iter()
            .map(|(column, _)| &model.columns[usize::from(*column)]);
        let mut sums = sums.filter(|column| column.role == Role::Add);
        sums.next()
            .map_or_else(String::new, |column| column.name.to_string())
    }

    /// Applies the change to a row as it stands (`None`: there is none) and returns the row as it
    /// is afterwards.
    ///
    /// # Errors
    /// [`Overflow`] when a sum leaves its range; the row is then to be left as it was.
    pub fn apply(
        &self,
        model: &Model,
        row: Option<RowValues>,
    ) -> Result<Option<RowValues>, Overflow> {
        if let Some(column) = self.hidden_overflow(model, row.as_deref()) {
            return Err(Overflow { column });
        }
        if !self.present {
            return Ok(None);
        }
        let mut values = match row {
            Some(values) if !self.reset => values,
            _ => model
                .value_columns()
                .iter()
                .map(crate::Column::start)
                .collect(),
        };
        for (column, operand) in &self.operands {
            let column = usize::from(*column);
            let value = &mut values[column - model.key_length];
            *value = combine(model, column, value, operand.clone())?;
        }
        Ok(Some(values))
    }

    /// Names a sum that some order of several events' parts might have carried out of its range,
    /// be it that the row is deleted later on.
    fn hidden_overflow(&self, model: &Model, row: Option<&[Value]>) -> Option<String> {
        if self.events < 2 || self.reach == 0 {
            return None;
        }
        let columns = model.value_columns().iter().zip(row?);
        let mut sums = columns.filter_map(|(column, value)| match (column.role, value) {
            (Role::Add, Value::Bigint(sum)) => Some((column, sum.unsigned_abs())),
            _ => None,
        });
        sums.find(|(_, sum)| sum.saturating_add(self.reach) > i64::MAX as u64)
            .map(|(column, _)| column.name.to_string())
    }
}

/// Combines an earlier value of a column with a later operand.
fn combine(model: &Model, column: usize, before: &Value, after: Value) -> Result<Value, Overflow> {
    let column = &model.columns[column];
    Ok(match (column.role, before) {
        (Role::Set | Role::Key { .. }, _) | (_, Value::Null) => after,
        (Role::Add, Value::Bigint(sum)) => match after {
            Value::Bigint(more) => {
                Value::Bigint(sum.checked_add(more).ok_or_else(|| Overflow {
                    column: column.name.to_string(),
                })?)
            }
            _ => before.clone(),
        },
        (Role::Add, _) => before.clone(),
        (Role::Max, _) => before.clone().max(after),
        (Role::Min, _) if after.is_null() => before.clone(),
        (Role::Min, _) => before.clone().min(after),
    })
}
