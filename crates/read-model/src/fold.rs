//! The pure fold: what one event does to which rows.

use std::{borrow::Cow, sync::Arc};

use foldline_schema::{Catalog, DataError, Event, UnknownType};
use rustc_hash::FxHashMap;
use serde_json::Value as Json;
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

/// An event's data, as far as a rule needs it.
type Data<'e> = Cow<'e, Json>;

/// Parses data whole, once for all readers of the event.
fn read_shared<'e>(event: &'e Event, members: &[Arc<str>]) -> Result<Data<'e>, DataError> {
    match event.json() {
        Ok(json) if json.is_object() => Ok(Cow::Borrowed(json)),
        // What cannot be read may be what no rule looks at: both ways take and refuse the same.
        _ => read_alone(event, members),
    }
}

/// Parses what one reader needs.
fn read_alone<'e>(event: &'e Event, members: &[Arc<str>]) -> Result<Data<'e>, DataError> {
    members::read(&event.data, members).map(Cow::Owned)
}

impl From<DataError> for FoldError {
    fn from(error: DataError) -> Self {
        Self::Unfit(error.to_string())
    }
}

impl Model {
    /// Returns what an event does: each touched row once, with all that the event does to it.
    ///
    /// Nothing is returned for an event that no rule is about, and its data is not parsed. An
    /// event is evaluated whole: where any part of it fails, none of it is returned. Of its data
    /// only what the rule looks at matters.
    ///
    /// # Errors
    /// See [`FoldError`].
    pub fn fold(
        &self,
        catalog: &Catalog,
        event: &Event,
    ) -> Result<Vec<(RowKey, Change)>, FoldError> {
        self.fold_data(catalog, event, read_shared)
    }

    /// Does as [`Self::fold`], quicker for an event that no other reader will look at: only what
    /// the rule needs of its data is parsed, and nothing of that is kept with the event.
    ///
    /// # Errors
    /// As for [`Self::fold`], the same in every case.
    pub fn fold_alone(
        &self,
        catalog: &Catalog,
        event: &Event,
    ) -> Result<Vec<(RowKey, Change)>, FoldError> {
        self.fold_data(catalog, event, read_alone)
    }

    fn fold_data<'e>(
        &self,
        catalog: &Catalog,
        event: &'e Event,
        read: impl Fn(&'e Event, &[Arc<str>]) -> Result<Data<'e>, DataError>,
    ) -> Result<Vec<(RowKey, Change)>, FoldError> {
        let Some(rule) = self.rule(event)? else {
            return Ok(Vec::new());
        };
        let data = match &rule.members {
            Some(members) if rule.type_name == event.type_name => read(event, members)?,
            // An older shape has to be read whole to be upcast.
            _ => catalog.current(event)?.data,
        };
        let input = Input {
            event,
            type_name: &rule.type_name,
            data: &data,
            item: None,
        };
        let rows = match &rule.each {
            None => self.row(rule, &input).map(Vec::from_iter),
            Some(each) => each
                .elements(&input)
                .and_then(|elements| self.rows(rule, &input, elements)),
        };
        rows.map_err(FoldError::Unfit)
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
        elements: &[Json],
    ) -> Result<Vec<(RowKey, Change)>, String> {
        let mut rows: Vec<(RowKey, Change)> = Vec::with_capacity(elements.len());
        let mut places: FxHashMap<RowKey, usize> = FxHashMap::default();
        for element in elements {
            let item = Some(element);
            let Some((key, change)) = self.row(rule, &Input { item, ..*input })? else {
                continue;
            };
            match places.get(&key) {
                Some(place) => rows[*place]
                    .1
                    .and(self, change)
                    .map_err(|overflow| overflow.to_string())?,
                None => {
                    places.insert(key.clone(), rows.len());
                    rows.push((key, change));
                }
            }
        }
        Ok(rows)
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
        let mut change = Change::upsert(last);
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
