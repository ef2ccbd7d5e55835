//! The reference: folding one event after another into a map, with nothing clever about it.

use std::collections::BTreeMap;

use foldline_kernel::{Context, LaneSequence, Sequence, UserId};
use foldline_schema::{Catalog, Event, UnknownType};

use crate::{FoldError, Model, RowKey, RowValues};

/// A user whom a read model holds back, from which event on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedUser {
    /// The context of the first event that could not be applied.
    pub context: Context,
    /// Its place in its partition.
    pub sequence: Sequence,
    /// Its place in its lane.
    pub lane_sequence: LaneSequence,
    /// Why it could not be applied.
    pub reason: String,
}

/// What a read model's table must hold after the events that were applied, one by one.
#[derive(Debug)]
pub struct PlainFold<'a> {
    model: &'a Model,
    catalog: &'a Catalog,
    rows: BTreeMap<RowKey, RowValues>,
    parked: BTreeMap<UserId, ParkedUser>,
}

impl<'a> PlainFold<'a> {
    /// Begins with an empty table.
    pub fn new(model: &'a Model, catalog: &'a Catalog) -> Self {
        Self {
            model,
            catalog,
            rows: BTreeMap::new(),
            parked: BTreeMap::new(),
        }
    }

    /// Applies one event, whole or not at all. The first that cannot be applied parks its user,
    /// whose later events are skipped.
    ///
    /// # Errors
    /// When the binary does not know the event's type.
    pub fn apply(&mut self, event: &Event) -> Result<(), UnknownType> {
        if self.parked.contains_key(&event.subject) {
            return Ok(());
        }
        match self.rows_after(event) {
            Ok(rows) => {
                for (key, values) in rows {
                    match values {
                        Some(values) => self.rows.insert(key, values),
                        None => self.rows.remove(&key),
                    };
                }
                Ok(())
            }
            Err(FoldError::Unfit(reason)) => {
                let parked = ParkedUser {
                    context: event.context.clone(),
                    sequence: event.sequence,
                    lane_sequence: event.lane_sequence,
                    reason,
                };
                self.parked.insert(event.subject, parked);
                Ok(())
            }
            Err(FoldError::UnknownType(unknown)) => Err(unknown),
        }
    }

    fn rows_after(&self, event: &Event) -> Result<Vec<(RowKey, Option<RowValues>)>, FoldError> {
        let mut after = Vec::new();
        for (key, change) in self.model.fold(self.catalog, event)? {
            let values = change
                .apply(self.model, self.rows.get(&key).cloned())
                .map_err(|overflow| FoldError::Unfit(overflow.to_string()))?;
            after.push((key, values));
        }
        Ok(after)
    }

    /// Returns every row by its key; those that [`Model::present`] hides are among them.
    pub fn rows(&self) -> &BTreeMap<RowKey, RowValues> {
        &self.rows
    }

    /// Returns every parked user.
    pub fn parked(&self) -> &BTreeMap<UserId, ParkedUser> {
        &self.parked
    }
}
