//! The statements that read and write rows by key, in a fixed set of sizes.
//!
//! Each statement costs a trip to SQLite's thread, and each text has to be compiled once: so rows
//! go in statements of 1, 2, 4, … rows, whose texts are made once and stay prepared.

use std::sync::Arc;

use foldline_read_model::{Model, RowKey, RowValues, Value, fold_words};
use sqlx::{Arguments, sqlite::SqliteArguments};

use super::{schema, value};

/// The most parameters that one statement gets; SQLite itself allows 32,766.
const PARAMETERS_MAX: usize = 4096;
/// The most rows in one statement: 2 to the power of this.
const POWER_MAX: usize = 8;

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
    fn new(before: String, parameters: usize, after: String) -> Self {
        Self {
            before,
            row: format!("({})", vec!["?"; parameters].join(",")),
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

/// The statements of one generation.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Parameters: the keys. Returns whole rows.
    pub(crate) read: Statement,
    /// Parameters: whole rows, see [`bind_row`].
    pub(crate) write: Statement,
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
                ")".into(),
            ),
            delete: Statement::new(format!("DELETE FROM rows {held}"), length, ")".into()),
            write: Statement::new(
                format!("INSERT INTO rows ({}) VALUES ", stored.join(",")),
                stored.len(),
                format!(" ON CONFLICT ({key}) DO {}", overwrite(&written)),
            ),
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
        let searched = match column.checked_sub(key.len()) {
            Some(place) => &values[place],
            None => &key[*column],
        };
        let words = match searched {
            Value::Text(text) => Some(fold_words(text)),
            _ => None,
        };
        arguments.add(words).map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}
