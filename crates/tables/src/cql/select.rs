//! From a selection to the stretches of one partition that hold its rows, in order.
//!
//! A cursor stands after a row, that is after the values `v` of the clustering columns. What comes
//! after it are stretches that each server reads from one place on, whatever directions the
//! columns have:
//!
//! ```text
//!   c0 = v0 and c1 = v1 and c2 after v2  ·  c0 = v0 and c1 after v1  ·  c0 after v0
//! ```

use foldline_read_model::{Field, Model, Role, Value};
use scylla::value::CqlValue;

use super::{schema::Layout, value};
use crate::{Condition, OrderValue, Select};

/// One statement with its parameters.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) statement: String,
    pub(crate) parameters: Vec<CqlValue>,
}

/// Returns the stretches that hold a selection's rows.
///
/// # Errors
/// What the table has no order for; the check of a definition refuses such queries.
pub(crate) fn stretches(
    model: &Model,
    layout: &Layout,
    select: &Select,
) -> Result<Vec<Stretch>, String> {
    let cut = Cut {
        model,
        layout,
        select,
    };
    cut.answerable()?;
    if (0..model.partition_length).any(|column| cut.equal(column).is_none()) {
        // Without an order and a place to go on from, the order in which they lie will do.
        return match (&select.order[..], &select.after) {
            ([], None) => Ok(vec![Stretch {
                statement: layout.read_all(),
                parameters: Vec::new(),
            }]),
            _ => Err("a wide table is asked by its whole partition".into()),
        };
    }
    let fixed = (model.partition_length..model.key_length)
        .take_while(|column| cut.equal(*column).is_some())
        .last()
        .map_or(model.partition_length, |column| column + 1);
    let Some(after) = cut.place()? else {
        return Ok(vec![cut.stretch(fixed, &[], None)]);
    };
    let stretch = |open: usize| {
        let passed = &after[fixed - model.partition_length..open - model.partition_length];
        let beyond = &after[open - model.partition_length];
        cut.stretch(fixed, passed, Some((open, beyond)))
    };
    Ok((fixed..model.key_length).rev().map(stretch).collect())
}

struct Cut<'s> {
    model: &'s Model,
    layout: &'s Layout,
    select: &'s Select,
}

impl Cut<'_> {
    fn answerable(&self) -> Result<(), String> {
        if self.select.words.is_some() {
            return Err("a wide table has no index of words".into());
        }
        let clustering = self.model.partition_length..self.model.key_length;
        let mut terms = self.select.order.iter().filter(|term| {
            !matches!(term.field, Field::Column(column) if column < self.model.partition_length)
        });
        for column in clustering {
            let Some(term) = terms.next() else { break };
            if term.field != Field::Column(column) || term.descending != self.descends(column) {
                return Err("a wide table has only the order of its clustering columns".into());
            }
        }
        match terms.next() {
            None => Ok(()),
            Some(_) => Err("a wide table sorts by nothing but its key".into()),
        }
    }

    fn descends(&self, column: usize) -> bool {
        self.model.columns[column].role == Role::Key { descending: true }
    }

    fn equal(&self, column: usize) -> Option<&Value> {
        self.select
            .conditions
            .iter()
            .find_map(|condition| match condition {
                Condition::Eq(known, value) if *known == column => Some(value),
                _ => None,
            })
    }

    /// Returns the place to go on from: the values of all clustering columns.
    fn place(&self) -> Result<Option<Vec<Value>>, String> {
        let Some(after) = &self.select.after else {
            return Ok(None);
        };
        let value = |column: usize| {
            let mut terms = self.select.order.iter().zip(after);
            let found = terms.find(|(term, _)| term.field == Field::Column(column));
            match found {
                Some((_, OrderValue::Column(value))) => Ok(value.clone()),
                _ => Err("a place to go on from lacks a part of the key".to_owned()),
            }
        };
        let columns = self.model.partition_length..self.model.key_length;
        columns.map(value).collect::<Result<_, _>>().map(Some)
    }

    /// The rows with these values in the columns from `fixed` on, and beyond one in the next.
    fn stretch(&self, fixed: usize, passed: &[Value], beyond: Option<(usize, &Value)>) -> Stretch {
        let mut terms = Vec::new();
        let mut parameters: Vec<_> = self.layout.fixed().collect();
        let mut term = |column: usize, operator: &str, value: &Value| {
            terms.push(format!("{} {operator} ?", self.layout.name(column)));
            parameters.extend(value::bound(value));
        };
        for column in 0..fixed {
            term(column, "=", self.equal(column).expect("it is fixed"));
        }
        for (column, value) in (fixed..).zip(passed) {
            term(column, "=", value);
        }
        if let Some((column, value)) = beyond {
            let operator = if self.descends(column) { "<" } else { ">" };
            term(column, operator, value);
        }
        // Where the column that a range is about has a value by now, that lies within it.
        if passed.is_empty() {
            let beyond = beyond.map(|(column, _)| self.descends(column));
            for condition in &self.select.conditions {
                match condition {
                    Condition::AtLeast(column, value)
                        if *column == fixed && beyond != Some(false) =>
                    {
                        term(*column, ">=", value);
                    }
                    Condition::AtMost(column, value)
                        if *column == fixed && beyond != Some(true) =>
                    {
                        term(*column, "<=", value);
                    }
                    _ => {}
                }
            }
        }
        Stretch {
            statement: self.layout.read_partition(&terms),
            parameters,
        }
    }
}

/// Tells whether a row meets every condition, also those that its stretch does not say.
pub(crate) fn meets(model: &Model, select: &Select, row: &[Value]) -> bool {
    let shows = model
        .present
        .is_none_or(|column| !select.present_only || !row[column].is_null());
    shows
        && select.conditions.iter().all(|condition| match condition {
            Condition::Eq(column, value) => row[*column] == *value,
            Condition::AtLeast(column, value) => !row[*column].is_null() && row[*column] >= *value,
            Condition::AtMost(column, value) => !row[*column].is_null() && row[*column] <= *value,
        })
}
