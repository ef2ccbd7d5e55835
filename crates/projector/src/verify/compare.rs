//! Compares the rows of a table with those of the reference, both in the order of their keys.

use std::{cmp::Ordering, collections::btree_map::IntoIter, iter::Peekable};

use foldline_read_model::{Model, RowKey, Value};

use super::{ColumnDifference, Difference, DifferenceKind, VerifyReport, reference::Cell};

pub(super) struct Compare<'m> {
    model: &'m Model,
    expected: Peekable<IntoIter<RowKey, Vec<Cell>>>,
    last: Option<RowKey>,
}

impl<'m> Compare<'m> {
    pub(super) fn new(
        model: &'m Model,
        expected: std::collections::BTreeMap<RowKey, Vec<Cell>>,
    ) -> Self {
        Self {
            model,
            expected: expected.into_iter().peekable(),
            last: None,
        }
    }

    /// Takes the next row of the table.
    pub(super) fn take(&mut self, key: RowKey, found: &[Value], report: &mut VerifyReport) {
        report.rows += 1;
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            report.problem(format!("the table yields {key:?} out of order"));
            return;
        }
        while let Some((before, row)) = self.expected.next_if(|(next, _)| *next < key) {
            report.difference(|| self.missing(&before, &row));
        }
        let same = |(next, _): &(RowKey, _)| next.cmp(&key) == Ordering::Equal;
        match self.expected.next_if(same) {
            Some((_, expected)) => {
                let pairs = || expected.iter().zip(found);
                if expected.len() != found.len() || pairs().any(|(cell, value)| !cell.is(value)) {
                    report.difference(|| self.different(&key, &expected, found));
                }
            }
            None => report.difference(|| self.unexpected(&key, found)),
        }
        self.last = Some(key);
    }

    /// Ends: what the table has not brought is missing in it.
    pub(super) fn end(mut self, report: &mut VerifyReport) {
        while let Some((key, row)) = self.expected.next() {
            report.difference(|| self.missing(&key, &row));
        }
    }

    fn missing(&self, key: &RowKey, expected: &[Cell]) -> Difference {
        let columns = expected.iter().map(|cell| (cell.to_json(), json_null()));
        self.difference(DifferenceKind::Missing, key, columns.map(Some))
    }

    fn unexpected(&self, key: &RowKey, found: &[Value]) -> Difference {
        let columns = found.iter().map(|value| (json_null(), value.to_json()));
        self.difference(DifferenceKind::Unexpected, key, columns.map(Some))
    }

    fn different(&self, key: &RowKey, expected: &[Cell], found: &[Value]) -> Difference {
        let pairs = expected.iter().zip(found);
        let columns = pairs.map(|(cell, value)| {
            let differs = !cell.is(value);
            differs.then(|| (cell.to_json(), value.to_json()))
        });
        self.difference(DifferenceKind::Different, key, columns)
    }

    /// Names the columns; those without a value are left out.
    fn difference(
        &self,
        kind: DifferenceKind,
        key: &RowKey,
        values: impl Iterator<Item = Option<(serde_json::Value, serde_json::Value)>>,
    ) -> Difference {
        let key_columns = self.model.columns.iter().zip(key);
        let columns = self.model.value_columns().iter().zip(values);
        Difference {
            kind,
            key: key_columns
                .map(|(column, value)| (column.name.to_string(), value.to_json()))
                .collect(),
            columns: columns
                .filter_map(|(column, values)| {
                    let (expected, found) = values?;
                    Some(ColumnDifference {
                        column: column.name.to_string(),
                        expected,
                        found,
                    })
                })
                .collect(),
        }
    }
}

fn json_null() -> serde_json::Value {
    serde_json::Value::Null
}
