//! The tables of one generation, and the indexes that its queries ask for.

use foldline_read_model::{Field, Model, OrderTerm};

use super::{files, value};
use crate::indexes::{self, is_descending};

/// Returns the tables of a generation.
///
/// The rows lie in clustering order within their primary key, so that a list that is read in that
/// order needs no other index. `STRICT`: a change by hand cannot leave a value of another type.
pub(crate) fn tables(model: &Model) -> String {
    let mut columns = Vec::new();
    for (index, column) in model.columns.iter().enumerate() {
        let not_null = if index < model.key_length {
            " NOT NULL"
        } else {
            ""
        };
        let storage = value::storage(column.column_type);
        columns.push(format!("{} {storage}{not_null}", name(model, index)));
    }
    for column in model.searched_columns() {
        columns.push(format!("{} TEXT", words_name(model, column)));
    }
    let key: Vec<_> = (0..model.key_length)
        .map(|index| term(model, Field::Column(index), is_descending(model, index)))
        .collect();
    let indexes: Vec<_> = indexes(model)
        .iter()
        .map(|index| format!("INSERT INTO indexes VALUES ({});", text(index)))
        .collect();
    format!(
        "CREATE TABLE rows (\n  {},\n  PRIMARY KEY ({})\n) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
  lane INTEGER PRIMARY KEY, lane_sequence INTEGER NOT NULL, checkpoint TEXT NOT NULL
) STRICT;
CREATE TABLE parked (
  user BLOB PRIMARY KEY, lane INTEGER NOT NULL, lane_sequence INTEGER NOT NULL,
  position TEXT NOT NULL, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Has one row once the generation is retired, for whoever still has the file open.
CREATE TABLE retired (generation INTEGER PRIMARY KEY) STRICT;
-- What makes a loaded table fit for reading.
CREATE TABLE indexes (definition TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
{}",
        columns.join(",\n  "),
        key.join(", "),
        indexes.join("\n"),
    )
}

/// Returns the tables of the registry.
pub(crate) const REGISTRY: &str = "
CREATE TABLE generations (
  model TEXT NOT NULL, number INTEGER NOT NULL, revision TEXT NOT NULL, definition TEXT NOT NULL,
  log_id BLOB NOT NULL, state TEXT NOT NULL, PRIMARY KEY (model, number)
) STRICT;
-- The last number of each model: a number is never given twice.
CREATE TABLE numbers (model TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;";

/// Returns the statements that make a model's indexes, each once.
pub(crate) fn indexes(model: &Model) -> Vec<String> {
    let wanted = indexes::wanted(model).into_iter();
    let sql = |terms: Vec<OrderTerm>| {
        let terms = terms.iter().map(|of| term(model, of.field, of.descending));
        index(&terms.collect::<Vec<_>>())
    };
    wanted.map(sql).collect()
}

/// An index is named by what it sorts by: one that a changed query asks for beside the others is
/// then another one.
fn index(terms: &[String]) -> String {
    let terms = terms.join(", ");
    let named = quoted(&format!("by {}", terms.replace('"', "")));
    format!("CREATE INDEX IF NOT EXISTS {named} ON rows ({terms})")
}

fn term(model: &Model, field: Field, descending: bool) -> String {
    let direction = if descending { " DESC" } else { "" };
    format!("{}{direction}", expression(model, field))
}

/// Returns what a field is in SQL; indexes and queries use the same text, or SQLite would not see
/// that they mean the same.
pub(crate) fn expression(model: &Model, field: Field) -> String {
    match field {
        Field::Column(column) => name(model, column),
        Field::Derived(derived) => {
            let derived = &model.derived[derived];
            // SQLite divides by zero to null, and an integer column becomes a double as `as f64`
            // makes it.
            format!(
                "(CAST({} AS REAL) / {})",
                name(model, derived.dividend),
                name(model, derived.divisor)
            )
        }
    }
}

/// Returns the name of a column, quoted.
pub(crate) fn name(model: &Model, column: usize) -> String {
    quoted(&model.columns[column].name)
}

/// Returns the name of the column that keeps a searched column's words; no column of a definition
/// can have a space in its name.
pub(crate) fn words_name(model: &Model, column: usize) -> String {
    quoted(&format!("{} words", model.columns[column].name))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Says which format a file has that cannot be used.
pub(crate) fn format_trouble(format: i64) -> String {
    format!(
        "the file has format {format}, this program knows {}; replay the read model with this \
         program, or go on with the one that made it",
        files::FORMAT
    )
}

/// Says that a file is not where the registry has it.
pub(crate) fn missing_trouble(path: &std::path::Path) -> String {
    format!(
        "there is no {}; a replay of the read model builds its table anew",
        path.display()
    )
}
