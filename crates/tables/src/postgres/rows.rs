//! From changes to rows: look up what is there, apply, write what comes of it.

use std::sync::Arc;

use foldline_read_model::{Change, Model, Role, RowKey, RowValues};
use sqlx::{
    AssertSqlSafe, PgConnection,
    postgres::{PgArguments, PgRow},
};

use super::{
    copy::Copy,
    statements::{self, ROWS_MAX, Rows, Statements},
    value,
};
use crate::{
    CommitError,
    cache::{Known, RowCache},
};

/// From so many new rows on they go as a stream, which costs two more trips.
const COPY_ROWS_MIN: usize = 64;

/// What it takes to turn changes into rows.
#[derive(Debug)]
pub(crate) struct RowWriter {
    model: Arc<Model>,
    searched: Vec<usize>,
    every: Vec<usize>,
    statements: Statements,
    pub(crate) cache: RowCache,
    /// Whether some change depends on the row as it stands. Where columns are only set, none
    /// does, and no row is ever read or remembered.
    pub(crate) reads: bool,
}

type Keyed<'c> = &'c (RowKey, Change);

/// A change, and what is known of its row before it.
struct Found<'c> {
    keyed: Keyed<'c>,
    known: Known,
    /// The row is certainly not there.
    new: bool,
}

/// The changes of one batch, by the way they are written; each in the order of the keys.
#[derive(Default)]
pub(crate) struct Work<'c> {
    deleted: Vec<Found<'c>>,
    /// Written whole.
    whole: Vec<Found<'c>>,
    /// Of which only some columns are written, by statement.
    parts: Vec<Vec<Keyed<'c>>>,
}

/// Why rows were not written.
#[derive(Debug)]
pub(crate) enum Trouble {
    Sql(sqlx::Error),
    Overflow(Box<CommitError>),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl RowWriter {
    pub(crate) fn new(model: Arc<Model>, table: &str) -> Self {
        Self {
            searched: model.searched_columns(),
            every: (0..model.columns.len()).collect(),
            statements: Statements::new(&model, table),
            cache: RowCache::default(),
            reads: model.value_columns().iter().any(|c| c.role != Role::Set),
            model,
        }
    }

    /// Returns the model whose rows these are.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Sorts the changes of a batch by the way they are written, with what is remembered.
    pub(crate) fn sort_out<'c>(&mut self, changes: &'c [(RowKey, Change)]) -> Work<'c> {
        let mut work = Work::default();
        for keyed in changes {
            let (key, change) = keyed;
            let new = self.cache.is_absent(key);
            if !new
                && change.present
                && only_sets(&self.model, change)
                && let Some(part) = self.statements.part(&self.model, change)
            {
                work.parts.resize_with(self.statements.parts(), Vec::new);
                work.parts[part].push(keyed);
                continue;
            }
            let known = if new {
                Known::Absent
            } else {
                self.cache.take(key)
            };
            let found = Found { keyed, known, new };
            if change.present {
                work.whole.push(found);
            } else if !new || may_hide_overflow(change) {
                work.deleted.push(found);
            }
        }
        work
    }

    /// Writes what a batch makes of its rows, in the order of their keys: neighbours lie on one
    /// page. The cache then has the rows as this transaction leaves them, so it must be cleared
    /// where the transaction does not come through.
    pub(crate) async fn write(
        &mut self,
        connection: &mut PgConnection,
        mut work: Work<'_>,
    ) -> Result<(), Trouble> {
        self.look_up(connection, &mut work.deleted).await?;
        self.refuse_hidden_overflows(&work.deleted)?;
        self.delete(connection, &work.deleted).await?;
        self.look_up(connection, &mut work.whole).await?;
        let new = work.whole.iter().filter(|found| found.new).count();
        // In a table without its key there is no other way, and nothing that is not new.
        let (new, known): (Vec<_>, Vec<_>) = if new >= COPY_ROWS_MIN || work.needs_no_key() {
            work.whole.into_iter().partition(|found| found.new)
        } else {
            (Vec::new(), work.whole)
        };
        if !new.is_empty() {
            self.copy(connection, new).await?;
        }
        self.write_whole(connection, known).await?;
        for (part, changes) in work.parts.iter().enumerate() {
            self.write_parts(connection, part, changes).await?;
        }
        Ok(())
    }

    /// Refuses to delete a row whose sums may have overflowed on the way there: applied one by
    /// one, the events before the deletion would have failed.
    fn refuse_hidden_overflows(&self, deleted: &[Found<'_>]) -> Result<(), Trouble> {
        for found in deleted {
            if may_hide_overflow(&found.keyed.1) {
                self.apply(found.keyed, found.known.clone())?;
            }
        }
        Ok(())
    }

    /// Applies a change to a row as it stands.
    fn apply(&self, (key, change): Keyed<'_>, known: Known) -> Result<Option<RowValues>, Trouble> {
        let before = match known {
            Known::Row(values) => Some(values),
            Known::Absent | Known::Nothing => None,
        };
        change.apply(&self.model, before).map_err(|overflow| {
            Trouble::Overflow(Box::new(CommitError::Overflow {
                model: self.model.name.to_string(),
                key: key.clone(),
                overflow,
            }))
        })
    }

    /// Finds the rows in the table that are not remembered, as far as they matter.
    async fn look_up(
        &self,
        connection: &mut PgConnection,
        found: &mut [Found<'_>],
    ) -> Result<(), sqlx::Error> {
        let asked = |found: &Found<'_>| {
            let change = &found.keyed.1;
            // What starts afresh does not depend on the row.
            let matters = !change.reset || may_hide_overflow(change);
            found.known == Known::Nothing && matters
        };
        let missing: Vec<usize> = (0..found.len()).filter(|at| asked(&found[*at])).collect();
        for some in missing.chunks(ROWS_MAX) {
            let mut keys = self.room_for_keys();
            some.iter()
                .for_each(|at| keys.push_key(&found[*at].keyed.0));
            let read = AssertSqlSafe(self.statements.read.as_str());
            let rows = sqlx::query_with(read, keys.arguments()?)
                .fetch_all(&mut *connection)
                .await?;
            for at in some {
                (found[*at].known, found[*at].new) = (Known::Absent, true);
            }
            for row in &rows {
                let (key, values) = split(&self.model, row)?;
                let place = found.binary_search_by(|known| known.keyed.0.cmp(&key));
                let place = &mut found[place.expect("only these keys were asked for")];
                (place.known, place.new) = (Known::Row(values), false);
            }
        }
        Ok(())
    }

    fn room_for_keys(&self) -> Rows {
        Rows::new(&self.model, &self.every[..self.model.key_length], &[])
    }

    fn remember(&mut self, key: &RowKey, values: RowValues) {
        if self.reads {
            self.cache.put(key, Some(values));
        } else {
            self.cache.note(key);
        }
    }

    /// Streams rows that are not there yet.
    async fn copy(
        &mut self,
        connection: &mut PgConnection,
        new: Vec<Found<'_>>,
    ) -> Result<(), Trouble> {
        let mut copy = Copy::begin(connection, &self.statements.copy).await?;
        for found in new {
            match self.apply(found.keyed, found.known) {
                Ok(row) => {
                    let values = row.expect("a change that leaves no row is among the deleted");
                    copy.push(&self.searched, &found.keyed.0, &values);
                    copy.flush().await?;
                    self.remember(&found.keyed.0, values);
                }
                Err(overflow) => {
                    copy.give_up().await?;
                    return Err(overflow);
                }
            }
        }
        Ok(copy.finish().await?)
    }

    async fn write_whole(
        &mut self,
        connection: &mut PgConnection,
        known: Vec<Found<'_>>,
    ) -> Result<(), Trouble> {
        let mut left = known.into_iter().peekable();
        let mut next = self.prepare_whole(&mut left)?;
        while let Some(arguments) = next {
            let write = AssertSqlSafe(self.statements.write.clone());
            let running = sqlx::query_with(write, arguments).execute(&mut *connection);
            // While the server works on one statement, the next is put together here.
            let preparing = async { self.prepare_whole(&mut left) };
            let (done, prepared) = futures::future::join(running, preparing).await;
            done?;
            next = prepared?;
        }
        Ok(())
    }

    /// Applies changes and puts the rows that come of them into parameters.
    fn prepare_whole<'c>(
        &mut self,
        left: &mut std::iter::Peekable<std::vec::IntoIter<Found<'c>>>,
    ) -> Result<Option<PgArguments>, Trouble> {
        if left.peek().is_none() {
            return Ok(None);
        }
        let mut rows = Rows::new(&self.model, &self.every, &self.searched);
        for found in left.take(ROWS_MAX) {
            let row = self.apply(found.keyed, found.known)?;
            let values = row.expect("a change that leaves no row is among the deleted");
            rows.push(&found.keyed.0, &values);
            self.remember(&found.keyed.0, values);
        }
        Ok(Some(rows.arguments()?))
    }

    /// Writes what changes set, and keeps the cache in step.
    async fn write_parts(
        &mut self,
        connection: &mut PgConnection,
        part: usize,
        changes: &[Keyed<'_>],
    ) -> Result<(), sqlx::Error> {
        let columns = self.statements.columns_of(&self.model, part);
        let searched = statements::searched_among(&self.model, &columns);
        for some in changes.chunks(ROWS_MAX) {
            let mut rows = Rows::new(&self.model, &columns, &searched);
            for (key, change) in some {
                rows.push_part(key, change);
                self.keep_in_step(key, change);
            }
            let write = AssertSqlSafe(self.statements.by_part(part).to_owned());
            sqlx::query_with(write, rows.arguments()?)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    fn keep_in_step(&mut self, key: &RowKey, change: &Change) {
        self.cache.note(key);
        if !self.reads {
            return;
        }
        self.cache.update(key, change.heap_bytes(), |before| {
            let row = change.apply(&self.model, before);
            row.expect("what is only set cannot overflow")
        });
    }

    async fn delete(
        &mut self,
        connection: &mut PgConnection,
        deleted: &[Found<'_>],
    ) -> Result<(), sqlx::Error> {
        let there: Vec<_> = deleted.iter().filter(|found| !found.new).collect();
        for some in there.chunks(ROWS_MAX) {
            let mut keys = self.room_for_keys();
            some.iter().for_each(|found| keys.push_key(&found.keyed.0));
            let delete = AssertSqlSafe(self.statements.delete.as_str());
            sqlx::query_with(delete, keys.arguments()?)
                .execute(&mut *connection)
                .await?;
        }
        if self.reads {
            for found in deleted {
                self.cache.put(&found.keyed.0, None);
            }
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Tells whether all of it can be written into a table that has no index: nothing is looked
    /// up, nothing is written over.
    pub(crate) fn needs_no_key(&self) -> bool {
        self.deleted
            .iter()
            .chain(&self.whole)
            .all(|found| found.new)
            && self.parts.iter().all(Vec::is_empty)
    }
}

/// Tells whether sums of the row before may have overflowed within the change.
fn may_hide_overflow(change: &Change) -> bool {
    change.events > 1 && change.reach > 0
}

/// Tells whether a change sets columns and does nothing else, so that it can be written without
/// knowing the row.
fn only_sets(model: &Model, change: &Change) -> bool {
    let is_set = |(column, _): &(u16, _)| model.columns[usize::from(*column)].role == Role::Set;
    !change.reset && change.operands.iter().all(is_set)
}

fn split(model: &Model, row: &PgRow) -> Result<(RowKey, RowValues), sqlx::Error> {
    let read = |column: usize| value::read(row, column, model.columns[column].column_type);
    let key = (0..model.key_length).map(read).collect::<Result<_, _>>()?;
    let values = (model.key_length..model.columns.len()).map(read);
    Ok((key, values.collect::<Result<_, _>>()?))
}
