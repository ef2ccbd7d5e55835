//! The pure fold: what one event does to which rows.

use foldline_schema::{Catalog, DataError, Event, UnknownType};
use rustc_hash::FxHashMap;
use serde_json_borrow::Value as Json;
use smallvec::SmallVec;

use crate::{
    Change, Model, Role, RowKey, Scope, Value,
    expression::{Expr, Input},
    members,
    rules::Rule,
};

/// The most that one event can add to a shared row (or take from it): 2⁵³.
///
/// Totals of many users could otherwise overflow at an event that is not to blame, in an order
/// that depends on the lanes. So bounded, it would take more than a thousand of the largest.
pub const SHARED_ADD_MAX: i64 = 1 << 53;

/// How many elements of `each` are compared with each other rather than hashed.
const COMPARED_MAX: usize = 8;

/// Why an event cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A pure failure: this event never fits these rules, so its user is parked.
    #[error("{0}")]
    Unfit(String),
    /// A newer writer is at work: the model stops until a binary knows the type.
    #[error(transparent)]
    UnknownType(#[from] UnknownType),
}

impl From<DataError> for FoldError {
    fn from(error: DataError) -> Self {
        Self::Unfit(error.to_string())
    }
}

impl Model {
    /// Returns what an event does: each touched row once, with all that the event does to it.
    ///
    /// # Errors
    /// See [`FoldError`].
    pub fn fold(
        &self,
        catalog: &Catalog,
        event: &Event,
    ) -> Result<Vec<(RowKey, Change)>, FoldError> {
        let mut done = Vec::new();
        self.fold_into(catalog, event, &mut done)?;
        Ok(done)
    }

    /// Appends what an event does to `done`: each touched row once, with all that the event does
    /// to it.
    ///
    /// Nothing is appended for an event that no rule is about, and its data is not parsed. An
    /// event is evaluated whole: where any part of it fails, `done` is as it was. Of its data
    /// only what the rule looks at matters.
    ///
    /// # Errors
    /// See [`FoldError`].
    pub fn fold_into(
        &self,
        catalog: &Catalog,
        event: &Event,
        done: &mut Vec<(RowKey, Change)>,
    ) -> Result<(), FoldError> {
        let Some(rule) = self.rule(event)? else {
            return Ok(());
        };
        let upcast;
        let data = match &rule.members {
            Some(members) if rule.type_name == event.type_name => {
                members::read(&event.data, members)?
            }
            // An older shape has to be read whole to be upcast.
            _ => {
                upcast = catalog.current(event)?.data;
                (&upcast).into()
            }
        };
        let input = Input {
            event,
            type_name: &rule.type_name,
            data: &data,
            item: None,
        };
        let Some(each) = &rule.each else {
            done.extend(self.row(rule, &input).map_err(FoldError::Unfit)?);
            return Ok(());
        };
        let before = done.len();
        let rows = each
            .elements(&input)
            .and_then(|elements| self.rows(rule, &input, elements, done));
        rows.map_err(|reason| {
            done.truncate(before);
            FoldError::Unfit(reason)
        })
    }

    fn rule(&self, event: &Event) -> Result<Option<&Rule>, UnknownType> {
        match self.rules.known.get(event.type_name.as_ref()) {
            Some(known) if known.context == event.context => {
                Ok(known.rule.map(|rule| &self.rules.rules[rule]))
            }
            // What happens in other contexts, known or not, is not this model's.
            _ if !self.source.contains(&event.context) => Ok(None),
            _ => Err(UnknownType {
                context: event.context.clone(),
                type_name: event.type_name.to_string(),
            }),
        }
    }

    /// Folds the elements of `each`, those of one row together.
    fn rows(
        &self,
        rule: &Rule,
        input: &Input<'_>,
        elements: &[Json<'_>],
        done: &mut Vec<(RowKey, Change)>,
    ) -> Result<(), String> {
        let before = done.len();
        // Few elements are compared quicker than hashed; many must not take the square of it.
        let mut places: FxHashMap<RowKey, usize> = FxHashMap::default();
        let hashed = elements.len() > COMPARED_MAX;
        for element in elements {
            let item = Some(element);
            let Some((key, change)) = self.row(rule, &Input { item, ..*input })? else {
                continue;
            };
            let place = if hashed {
                places.get(&key).copied()
            } else {
                let same = |(known, _): &(RowKey, Change)| *known == key;
                done[before..].iter().position(same)
            };
            match place {
                Some(place) => done[before + place]
                    .1
                    .and(self, change)
                    .map_err(|overflow| overflow.to_string())?,
                None => {
                    if hashed {
                        places.insert(key.clone(), done.len() - before);
                    }
                    done.push((key, change));
                }
            }
        }
        Ok(())
    }

    /// Folds one row; `None` where `when` does not hold.
    fn row(&self, rule: &Rule, input: &Input<'_>) -> Result<Option<(RowKey, Change)>, String> {
        if let Some(when) = &rule.when
            && !when.holds(input)?
        {
            return Ok(None);
        }
        let key = self.key(rule, input)?;
        let last = input.event.lane_sequence;
        if rule.delete {
            return Ok(Some((key, Change::delete(last))));
        }
        let mut change = Change::touching(rule.operands.len(), last);
        for (column, expr) in &rule.operands {
            if let Some(operand) = self.operand(*column, expr, input)? {
                change.touch(self, *column, operand);
            }
        }
        Ok(Some((key, change)))
    }

    fn key(&self, rule: &Rule, input: &Input<'_>) -> Result<RowKey, String> {
        let mut key = SmallVec::with_capacity(rule.row.len());
        for (column, expr) in rule.row.iter().enumerate() {
            match expr.value(input)? {
                None | Some(Value::Null) => {
                    let name = &self.columns[column].name;
                    return Err(format!("`{expr}` is null, and `{name}` is part of the key"));
                }
                Some(value) => key.push(value),
            }
        }
        Ok(key)
    }

    /// Evaluates an operand; `None` where there is nothing to do to the column.
    fn operand(
        &self,
        column: usize,
        expr: &Expr,
        input: &Input<'_>,
    ) -> Result<Option<Value>, String> {
        let definition = &self.columns[column];
        let value = expr.value(input)?;
        let value = value.map(|value| definition.column_type.hold(value));
        match (definition.role, value) {
            // An absent field leaves the column, whatever its role.
            (_, None) => Ok(None),
            (Role::Set, value) => Ok(value),
            (Role::Max | Role::Min, Some(Value::Null)) => Ok(None),
            (Role::Add, Some(Value::Bigint(more))) => {
                if self.scope == Scope::Shared && more.unsigned_abs() > SHARED_ADD_MAX as u64 {
                    return Err(format!(
                        "`{expr}` is {more}, and nothing beyond 2^53 is added to a shared row"
                    ));
                }
                Ok(Some(Value::Bigint(more)))
            }
            (Role::Add, Some(other)) => {
                let name = &definition.name;
                Err(format!(
                    "`{expr}` is {other}, which cannot be added to `{name}`"
                ))
            }
            (_, value) => Ok(value),
        }
    }
}
