//! The statements that read and write rows by key, in a fixed set of sizes.
//!
//! Each statement costs a trip to SQLite's thread, and each text has to be compiled once: so rows
//! go in statements of 1, 2, 4, … rows, whose texts are made once and stay prepared.

use std::sync::Arc;

use foldline_read_model::{Change, Model, Role, RowKey, RowValues, Value, fold_words};
use smallvec::SmallVec;
use sqlx::{Arguments, sqlite::SqliteArguments};

use super::{schema, value};

/// The most parameters that one statement gets; SQLite itself allows 32,766.
const PARAMETERS_MAX: usize = 4096;
/// The most rows in one statement: 2 to the power of this.
const POWER_MAX: usize = 8;
/// The most kinds of changes that have a statement of their own.
const PARTS_MAX: usize = 16;

/// A statement for several rows, in all its sizes.
#[derive(Debug)]
pub(crate) struct Statement {
    before: String,
    row: String,
    after: String,
    parameters: usize,
    texts: Vec<Option<Arc<str>>>,
}

impl Statement {
    /// A statement whose rows are `(?,…)` with as many parameters, and then these constants.
    fn new(before: String, parameters: usize, constants: usize, after: String) -> Self {
        let mut row = vec!["?"; parameters];
        row.extend(vec!["0"; constants]);
        Self {
            before,
            row: format!("({})", row.join(",")),
            after,
            parameters,
            texts: vec![None; POWER_MAX + 1],
        }
    }

    /// Returns how many of `left` rows the next statement takes: the greatest size that fits.
    pub(crate) fn rows(&self, left: usize) -> usize {
        let most = (PARAMETERS_MAX / self.parameters).clamp(1, 1 << POWER_MAX);
        1 << left.clamp(1, most).ilog2()
    }

    /// Returns the text for a number of rows that [`Self::rows`] returned.
    pub(crate) fn text(&mut self, rows: usize) -> Arc<str> {
        let (before, row, after) = (&self.before, &self.row, &self.after);
        let made = || format!("{before}{}{after}", vec![row.as_str(); rows].join(",")).into();
        Arc::clone(self.texts[rows.ilog2() as usize].get_or_insert_with(made))
    }

    /// Returns room for the parameters of that many rows.
    pub(crate) fn arguments(&self, rows: usize) -> SqliteArguments {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(rows * self.parameters, 0);
        arguments
    }
}

/// Sets some columns of rows that may be there or not, without reading them.
#[derive(Debug)]
pub(crate) struct Part {
    /// The columns it sets; ascending.
    columns: SmallVec<[u16; 6]>,
    pub(crate) statement: Statement,
}

/// The statements of one generation.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Parameters: the keys. Returns whole rows.
    pub(crate) read: Statement,
    /// Parameters: whole rows, see [`bind_row`].
    pub(crate) write: Statement,
    /// For rows of which only some columns are set, see [`bind_part`].
    parts: Vec<Part>,
    /// Parameters: the keys.
    pub(crate) delete: Statement,
}

impl Statements {
    pub(crate) fn new(model: &Model) -> Self {
        let all: Vec<_> = (0..model.columns.len())
            .map(|column| schema::name(model, column))
            .collect();
        let words: Vec<_> = model
            .searched_columns()
            .into_iter()
            .map(|column| schema::words_name(model, column))
            .collect();
        let (key, values) = all.split_at(model.key_length);
        let written: Vec<_> = values.iter().chain(&words).cloned().collect();
        let (columns, key) = (all.join(","), key.join(","));
        // Named, since a definition may change the order of its columns and still mean the same.
        let stored: Vec<_> = all.iter().chain(&words).cloned().collect();
        let length = model.key_length;
        let held = format!("WHERE ({key}) IN (VALUES ");
        Self {
            read: Statement::new(
                format!("SELECT {columns} FROM rows {held}"),
                length,
                0,
                ")".into(),
            ),
            delete: Statement::new(format!("DELETE FROM rows {held}"), length, 0, ")".into()),
            parts: Vec::new(),
            write: Statement::new(
                format!("INSERT INTO rows ({}) VALUES ", stored.join(",")),
                stored.len(),
                0,
                format!(" ON CONFLICT ({key}) DO {}", overwrite(&written)),
            ),
        }
    }
}

impl Statements {
    /// Returns which statement sets just the columns that a change sets; `None` where there are
    /// too many kinds of changes already, so that this one takes the way of whole rows.
    pub(crate) fn part(&mut self, model: &Model, change: &Change) -> Option<usize> {
        let columns = change.operands.iter().map(|(column, _)| *column);
        let known = |part: &Part| part.columns.iter().copied().eq(columns.clone());
        if let Some(place) = self.parts.iter().position(known) {
            return Some(place);
        }
        if self.parts.len() == PARTS_MAX {
            return None;
        }
        let columns = columns.collect();
        self.parts.push(Part::new(model, columns));
        Some(self.parts.len() - 1)
    }

    /// Returns a statement by what [`Self::part`] returned.
    pub(crate) fn by_part(&mut self, part: usize) -> &mut Statement {
        &mut self.parts[part].statement
    }

    /// Returns how many statements for some columns there are.
    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }
}

impl Part {
    fn new(model: &Model, columns: SmallVec<[u16; 6]>) -> Self {
        let name = |column: usize| schema::name(model, column);
        let set = columns.iter().map(|column| usize::from(*column));
        // The words of a key come with every row, in case it comes into being.
        let told =
            |column: &usize| *column < model.key_length || set.clone().any(|set| set == *column);
        let searched = model.searched_columns().into_iter().filter(told);
        let words = searched.map(|column| schema::words_name(model, column));
        let written: Vec<_> = set.clone().map(name).chain(words).collect();
        let key: Vec<_> = (0..model.key_length).map(name).collect();
        // A row that comes into being begins with sums of 0; everything else begins with null.
        let sums = (model.key_length..model.columns.len())
            .filter(|column| model.columns[*column].role == Role::Add);
        let zero: Vec<_> = sums.map(name).collect();
        let all: Vec<_> = key.iter().chain(&written).chain(&zero).cloned().collect();
        Self {
            statement: Statement::new(
                format!("INSERT INTO rows ({}) VALUES ", all.join(",")),
                key.len() + written.len(),
                zero.len(),
                format!(
                    " ON CONFLICT ({}) DO {}",
                    key.join(","),
                    overwrite(&written)
                ),
            ),
            columns,
        }
    }
}

fn overwrite(columns: &[String]) -> String {
    if columns.is_empty() {
        return "NOTHING".into();
    }
    let set: Vec<_> = columns
        .iter()
        .map(|column| format!("{column}=excluded.{column}"))
        .collect();
    format!("UPDATE SET {}", set.join(","))
}

/// Binds a key.
pub(crate) fn bind_key(arguments: &mut SqliteArguments, key: &RowKey) -> Result<(), sqlx::Error> {
    key.iter()
        .try_for_each(|value| value::bind(arguments, value))
}

/// Binds a whole row: the key, the values, and the words of the searched columns.
pub(crate) fn bind_row(
    arguments: &mut SqliteArguments,
    searched: &[usize],
    key: &RowKey,
    values: &RowValues,
) -> Result<(), sqlx::Error> {
    bind_key(arguments, key)?;
    values
        .iter()
        .try_for_each(|value| value::bind(arguments, value))?;
    for column in searched {
        let value = column.checked_sub(key.len());
        bind_words(
            arguments,
            value.map_or_else(|| &key[*column], |place| &values[place]),
        )?;
    }
    Ok(())
}

/// Binds a part of a row: the key, what is set, and the words of what is searched of it.
pub(crate) fn bind_part(
    arguments: &mut SqliteArguments,
    searched: &[usize],
    key: &RowKey,
    change: &Change,
) -> Result<(), sqlx::Error> {
    bind_key(arguments, key)?;
    for (_, value) in &change.operands {
        value::bind(arguments, value)?;
    }
    for column in searched {
        let set = change
            .operands
            .iter()
            .find(|(set, _)| usize::from(*set) == *column);
        if let Some(value) = key.get(*column).or(set.map(|(_, value)| value)) {
            bind_words(arguments, value)?;
        }
    }
    Ok(())
}

fn bind_words(arguments: &mut SqliteArguments, value: &Value) -> Result<(), sqlx::Error> {
    let words = match value {
        Value::Text(text) => Some(fold_words(text)),
        _ => None,
    };
    arguments.add(words).map_err(sqlx::Error::Encode)
}
