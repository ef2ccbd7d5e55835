//! The fold that a table is held against: one event after another, into a map.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use foldline_kernel::{Lane, UserId};
use foldline_read_model::{Change, FoldError, Model, Role, RowKey, Scope, Value};
use foldline_schema::{Catalog, Event, UnknownType};
use foldline_tables::Parked;
use rustc_hash::{FxHashMap, FxHasher};

use super::dated::Ahead;
use crate::chunk::{self, Blame};

/// A part of all keys, the same one for a key in every pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) index: u32,
    pub(crate) of: u32,
}

impl Slice {
    pub(crate) fn has(self, key: &RowKey) -> bool {
        if self.of < 2 {
            return true;
        }
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        // The upper half: in the lower one, keys that are alike fall together.
        (hasher.finish() >> 32) as u32 % self.of == self.index
    }
}

/// A value that sums beyond 64 bits on the way: totals of many users are read here lane by lane,
/// an order in which they never were in the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Sum(i128),
    Value(Value),
}

impl Cell {
    pub(crate) fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Sum(sum), Value::Bigint(found)) => *sum == i128::from(*found),
            (Self::Sum(_), _) => false,
            (Self::Value(expected), found) => expected == found,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Sum(sum) => match i64::try_from(*sum) {
                Ok(sum) => sum.into(),
                Err(_) => sum.to_string().into(),
            },
            Self::Value(value) => value.to_json(),
        }
    }
}

/// The rows of one slice, as the log says.
///
/// The users that the table holds back are taken as given, since whether a sum overflows shows
/// in one slice only; whether their events really fail is looked into on the way.
pub(crate) struct Reference<'a> {
    model: &'a Model,
    catalog: &'a Catalog,
    slice: Slice,
    pub(crate) rows: BTreeMap<RowKey, Vec<Cell>>,
    held: FxHashMap<UserId, (Parked, bool)>,
    /// Which rows are ahead of the checkpoints, where rows have places of their own.
    pub(super) ahead: Option<Ahead>,
    /// What is wrong with the users held back, or not held back.
    pub(crate) problems: Vec<String>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(
        model: &'a Model,
        catalog: &'a Catalog,
        slice: Slice,
        parked: &[Parked],
    ) -> Self {
        let held = parked
            .iter()
            .map(|parked| (parked.user, (parked.clone(), false)));
        Self {
            model,
            catalog,
            slice,
            rows: BTreeMap::new(),
            held: held.collect(),
            ahead: None,
            problems: Vec::new(),
        }
    }

    /// Applies the next event of a lane.
    ///
    /// # Errors
    /// When this binary does not know its type.
    pub(crate) fn apply(&mut self, lane: Lane, event: &Arc<Event>) -> Result<(), UnknownType> {
        let held_from = self
            .held
            .get(&event.subject)
            .map(|(held, _)| held.lane_sequence);
        if held_from.is_some_and(|from| event.lane_sequence > from) {
            return Ok(());
        }
        let mut changes = Vec::new();
        let folded = match chunk::fold(self.model, self.catalog, event, &mut changes) {
            Err(FoldError::UnknownType(unknown)) => return Err(unknown),
            Err(FoldError::Unfit(reason)) => Err(reason),
            Ok(()) => Ok(changes),
        };
        if held_from == Some(event.lane_sequence) {
            let fails = match &folded {
                Ok(changes) => changes
                    .iter()
                    .any(|(key, change)| self.may_overflow(key, change)),
                Err(_) => true,
            };
            self.confirm(event, fails);
            return Ok(());
        }
        if let Some(ahead) = &self.ahead
            && !ahead.is_within(lane, event.lane_sequence)
        {
            // Nothing says yet that it has been seen to, so it can be missing but not wrong.
            for (key, change) in folded.into_iter().flatten() {
                if ahead.has(&key, lane, event.lane_sequence) && self.slice.has(&key) {
                    let _ = change_row(self.model, &mut self.rows, key, change);
                }
            }
            return Ok(());
        }
        match folded {
            Ok(changes) => self.change(lane, event, changes),
            Err(reason) => self.miss(lane, event, reason),
        }
        Ok(())
    }

    /// Tells whether a change carries a sum out of 64 bits. Of a shared row that depends on what
    /// the other lanes had brought by then, which the table alone knew.
    fn may_overflow(&self, key: &RowKey, change: &Change) -> bool {
        if self.model.scope == Scope::Shared {
            return change.reach > 0;
        }
        let row = self.rows.get(key).filter(|_| !change.reset);
        self.slice.has(key)
            && change.operands.iter().any(|(column, operand)| {
                let column = usize::from(*column);
                let before = row.map(|row| &row[column - self.model.key_length]);
                match (self.model.columns[column].role, before, operand) {
                    (Role::Add, Some(Cell::Sum(sum)), Value::Bigint(more)) => {
                        i64::try_from(sum + i128::from(*more)).is_err()
                    }
                    _ => false,
                }
            })
    }

    fn confirm(&mut self, event: &Event, fails: bool) {
        if let Some((_, confirmed)) = self.held.get_mut(&event.subject) {
            *confirmed = fails;
        }
    }

    /// The event cannot be applied, but its user is not held back.
    fn miss(&mut self, lane: Lane, event: &Event, reason: String) {
        let blame = Blame::of(event, lane);
        self.problems.push(format!(
            "the event at {} cannot be applied ({reason}), and its user {} is not held back from \
             it on",
            blame.position, blame.user
        ));
        self.held.insert(event.subject, (blame.parks(reason), true));
    }

    fn change(&mut self, lane: Lane, event: &Event, changes: Vec<(RowKey, Change)>) {
        for (key, change) in changes {
            if self.slice.has(&key)
                && let Err(column) = change_row(self.model, &mut self.rows, key, change)
                && self.model.scope == Scope::User
            {
                self.miss(lane, event, format!("the sum in `{column}` overflows"));
            }
        }
    }

    /// Returns the users that the table holds back, and whether their events were seen to fail.
    /// Where rows have places of their own, so have they: those beyond the checkpoints were not
    /// looked into.
    pub(crate) fn held(&self, parked: &[Parked]) -> Vec<(Parked, bool)> {
        let seen_to = |parked: &&Parked| match &self.ahead {
            Some(ahead) => ahead.is_within(parked.lane, parked.lane_sequence),
            None => true,
        };
        let held = parked
            .iter()
            .filter(seen_to)
            .filter_map(|parked| self.held.get(&parked.user));
        held.cloned().collect()
    }
}

/// Changes one row; the error is the column whose sum leaves 64 bits.
fn change_row(
    model: &Model,
    rows: &mut BTreeMap<RowKey, Vec<Cell>>,
    key: RowKey,
    change: Change,
) -> Result<(), String> {
    if change.reset {
        rows.remove(&key);
    }
    if !change.present {
        return Ok(());
    }
    let row = rows.entry(key).or_insert_with(|| start(model));
    let mut overflow = Ok(());
    for (column, operand) in change.operands {
        let column = usize::from(column);
        let cell = &mut row[column - model.key_length];
        combine(cell, model.columns[column].role, operand);
        if let Cell::Sum(sum) = cell
            && i64::try_from(*sum).is_err()
        {
            overflow = Err(model.columns[column].name.to_string());
        }
    }
    overflow
}

fn start(model: &Model) -> Vec<Cell> {
    let columns = model.value_columns().iter();
    columns
        .map(|column| match column.role {
            Role::Add => Cell::Sum(0),
            _ => Cell::Value(Value::Null),
        })
        .collect()
}

fn combine(cell: &mut Cell, role: Role, operand: Value) {
    let before = std::mem::replace(cell, Cell::Value(Value::Null));
    *cell = match (role, before, operand) {
        (Role::Add, Cell::Sum(sum), Value::Bigint(more)) => Cell::Sum(sum + i128::from(more)),
        (Role::Max | Role::Min, before, Value::Null) => before,
        (Role::Max, Cell::Value(before), operand) if before >= operand => Cell::Value(before),
        (Role::Min, Cell::Value(before), operand) if !before.is_null() && before <= operand => {
            Cell::Value(before)
        }
        (Role::Add, before, _) => before,
        (_, _, operand) => Cell::Value(operand),
    };
}
