//! From changes to rows: look up what is there, apply, write what comes of it.

use std::sync::Arc;

use foldline_read_model::{Change, Model, Role, RowKey, RowValues};
use sqlx::{
    AssertSqlSafe, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    statements::{self, Statement, Statements},
    value,
};
use crate::{
    CommitError,
    cache::{Known, RowCache},
};

/// What it takes to turn changes into rows.
#[derive(Debug)]
pub(crate) struct RowWriter {
    model: Arc<Model>,
    searched: Vec<usize>,
    statements: Statements,
    pub(crate) cache: RowCache,
    /// Whether some change depends on the row as it stands. Where columns are only set, none
    /// does, and no row is ever read or remembered.
    pub(crate) reads: bool,
}

/// The changes of one batch, by the way they are written; each in the order of the keys.
#[derive(Default)]
struct Work<'c> {
    deleted: Vec<Keyed<'c>>,
    /// Written whole, and what is known of them as they stand.
    whole: Vec<Keyed<'c>>,
    known: std::vec::IntoIter<Known>,
    /// Of which only some columns are written, by statement.
    parts: Vec<Vec<Keyed<'c>>>,
    /// How far `whole`, and then each of `parts`, have been written.
    done: usize,
    part: usize,
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

/// A statement with its parameters.
type Ready = (Arc<str>, SqliteArguments);
type Keyed<'c> = &'c (RowKey, Change);

impl RowWriter {
    pub(crate) fn new(model: Arc<Model>) -> Self {
        Self {
            searched: model.searched_columns(),
            statements: Statements::new(&model),
            cache: RowCache::default(),
            reads: model.value_columns().iter().any(|c| c.role != Role::Set),
            model,
        }
    }

    /// Returns the model whose rows these are.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Writes what a batch of changes makes of its rows, in the order of their keys: neighbours
    /// lie on one page. The cache then has the rows as this transaction leaves them, so it must
    /// be cleared where the transaction does not come through.
    pub(crate) async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        changes: &[(RowKey, Change)],
    ) -> Result<(), Trouble> {
        let mut work = self.sort_out(changes);
        self.refuse_hidden_overflows(connection, &work.deleted)
            .await?;
        self.delete(connection, &work.deleted).await?;
        work.known = self.look_up(connection, &work.whole).await?.into_iter();
        let mut next = self.prepare(&mut work)?;
        while let Some((text, arguments)) = next {
            // While SQLite's thread works on one statement, the next is put together here.
            let running =
                sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut *connection);
            let preparing = async { self.prepare(&mut work) };
            let (done, prepared) = futures::future::join(running, preparing).await;
            done?;
            next = prepared?;
        }
        Ok(())
    }

    fn sort_out<'c>(&mut self, changes: &'c [(RowKey, Change)]) -> Work<'c> {
        let mut work = Work::default();
        for keyed in changes {
            let change = &keyed.1;
            if !change.present {
                work.deleted.push(keyed);
                continue;
            }
            let part = if only_sets(&self.model, change) {
                self.statements.part(&self.model, change)
            } else {
                None
            };
            match part {
                Some(part) => {
                    let parts = self.statements.parts();
                    work.parts
                        .resize_with(parts.max(work.parts.len()), Vec::new);
                    work.parts[part].push(keyed);
                }
                None => work.whole.push(keyed),
            }
        }
        work
    }

    /// Refuses to delete a row whose sums may have overflowed on the way there: applied one by
    /// one, the events before the deletion would have failed.
    async fn refuse_hidden_overflows(
        &mut self,
        connection: &mut SqliteConnection,
        deleted: &[Keyed<'_>],
    ) -> Result<(), Trouble> {
        let doubtful: Vec<_> = deleted
            .iter()
            .filter(|(_, change)| may_hide_overflow(change))
            .copied()
            .collect();
        let known = self.look_up(connection, &doubtful).await?;
        for ((key, change), known) in doubtful.into_iter().zip(known) {
            self.apply(key, change, known)?;
        }
        Ok(())
    }

    /// Applies a change to a row as it stands.
    fn apply(
        &self,
        key: &RowKey,
        change: &Change,
        known: Known,
    ) -> Result<Option<RowValues>, Trouble> {
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

    /// Finds the rows as they stand: in the cache or, for the rest, in the table.
    async fn look_up(
        &mut self,
        connection: &mut SqliteConnection,
        changes: &[Keyed<'_>],
    ) -> Result<Vec<Known>, sqlx::Error> {
        let mut known = Vec::with_capacity(changes.len());
        let mut missing = Vec::new();
        for (key, change) in changes {
            // What starts afresh does not depend on the row.
            let row = if change.reset && !may_hide_overflow(change) {
                Known::Absent
            } else {
                self.cache.take(key)
            };
            if row == Known::Nothing {
                missing.push(key);
            }
            known.push(row);
        }
        let mut left = missing.as_slice();
        while !left.is_empty() {
            let (text, arguments) = keys(&mut self.statements.read, &mut left)?;
            let rows = sqlx::query_with(AssertSqlSafe(text), arguments)
                .fetch_all(&mut *connection)
                .await?;
            for row in &rows {
                let (key, values) = split(&self.model, row)?;
                let place = changes.binary_search_by(|(known, _)| known.cmp(&key));
                known[place.expect("only these keys were asked for")] = Known::Row(values);
            }
        }
        Ok(known)
    }

    /// Puts the next statement together, if there is more to write.
    fn prepare(&mut self, work: &mut Work<'_>) -> Result<Option<Ready>, Trouble> {
        if work.done < work.whole.len() {
            return self.prepare_whole(work).map(Some);
        }
        while let Some(part) = work.parts.get(work.part) {
            let left = &part[work.done - work.whole.len()..];
            if !left.is_empty() {
                let (ready, rows) = self.prepare_part(work.part, left)?;
                work.done += rows;
                return Ok(Some(ready));
            }
            work.part += 1;
            work.done = work.whole.len();
        }
        Ok(None)
    }

    /// Applies changes and binds the rows that come of them.
    fn prepare_whole(&mut self, work: &mut Work<'_>) -> Result<Ready, Trouble> {
        let left = &work.whole[work.done..];
        let statement = &mut self.statements.write;
        let these = &left[..statement.rows(left.len())];
        let mut arguments = statement.arguments(these.len());
        let text = statement.text(these.len());
        for ((key, change), known) in these.iter().zip(&mut work.known) {
            let row = self.apply(key, change, known)?;
            let values = row.expect("a change that leaves no row is among the deleted");
            statements::bind_row(&mut arguments, &self.searched, key, &values)?;
            if self.reads {
                self.cache.put(key, Some(values));
            }
        }
        work.done += these.len();
        Ok((text, arguments))
    }

    /// Binds what changes set, and keeps the cache in step.
    fn prepare_part(
        &mut self,
        part: usize,
        left: &[Keyed<'_>],
    ) -> Result<(Ready, usize), sqlx::Error> {
        let statement = self.statements.by_part(part);
        let these = &left[..statement.rows(left.len())];
        let mut arguments = statement.arguments(these.len());
        for (key, change) in these {
            statements::bind_part(&mut arguments, &self.searched, key, change)?;
            if !self.reads {
                continue;
            }
            self.cache.update(key, change.heap_bytes(), |before| {
                let row = change.apply(&self.model, before);
                row.expect("what is only set cannot overflow")
            });
        }
        Ok(((statement.text(these.len()), arguments), these.len()))
    }

    async fn delete(
        &mut self,
        connection: &mut SqliteConnection,
        deleted: &[Keyed<'_>],
    ) -> Result<(), sqlx::Error> {
        let deleted: Vec<_> = deleted.iter().map(|(key, _)| key).collect();
        let mut left = deleted.as_slice();
        while !left.is_empty() {
            let (text, arguments) = keys(&mut self.statements.delete, &mut left)?;
            sqlx::query_with(AssertSqlSafe(text), arguments)
                .execute(&mut *connection)
                .await?;
        }
        if self.reads {
            for key in deleted {
                self.cache.put(key, None);
            }
        }
        Ok(())
    }
}

/// Binds the next keys, as many as one statement takes.
fn keys(statement: &mut Statement, left: &mut &[&RowKey]) -> Result<Ready, sqlx::Error> {
    let (these, rest) = left.split_at(statement.rows(left.len()));
    let mut arguments = statement.arguments(these.len());
    these
        .iter()
        .try_for_each(|key| statements::bind_key(&mut arguments, key))?;
    *left = rest;
    Ok((statement.text(these.len()), arguments))
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

fn split(model: &Model, row: &SqliteRow) -> Result<(RowKey, RowValues), sqlx::Error> {
    let read = |column: usize| value::read(row, column, model.columns[column].column_type);
    let key = (0..model.key_length).map(read).collect::<Result<_, _>>()?;
    let values = (model.key_length..model.columns.len()).map(read);
    Ok((key, values.collect::<Result<_, _>>()?))
}
