//! The statements that read and write rows by key: each takes any number of rows, as one array per
//! column, so its text is made and planned once.

use foldline_read_model::{Change, ColumnType, Model, Role, RowKey, RowValues, Value};
use smallvec::SmallVec;
use sqlx::{Arguments, postgres::PgArguments};

use super::{schema, value, value::Array, words};

/// The most rows in one statement.
pub(crate) const ROWS_MAX: usize = 8192;
/// The most kinds of changes that have a statement of their own.
const PARTS_MAX: usize = 16;

/// Sets some columns of rows that may be there or not, without reading them.
#[derive(Debug)]
struct Part {
    /// The columns it sets; ascending.
    columns: SmallVec<[u16; 6]>,
    statement: String,
}

/// The statements of one generation.
#[derive(Debug)]
pub(crate) struct Statements {
    table: String,
    /// Parameters: the keys. Returns whole rows.
    pub(crate) read: String,
    /// Parameters: whole rows, see [`Rows`].
    pub(crate) write: String,
    /// Takes whole rows that are not there yet, see [`Copied`].
    pub(crate) copy: String,
    /// Parameters: the keys.
    pub(crate) delete: String,
    parts: Vec<Part>,
}

impl Statements {
    pub(crate) fn new(model: &Model, table: &str) -> Self {
        let all: Vec<_> = (0..model.columns.len())
            .map(|column| schema::name(model, column))
            .collect();
        let searched = model.searched_columns();
        let words: Vec<_> = searched
            .iter()
            .map(|column| schema::words_name(model, *column))
            .collect();
        // Named, since a definition may change the order of its columns and still mean the same.
        let stored: Vec<_> = all.iter().chain(&words).cloned().collect();
        let key: Vec<usize> = (0..model.key_length).collect();
        let held: Vec<_> = key
            .iter()
            .map(|column| format!("known.{} = given.c{column}", all[*column]))
            .collect();
        let held = held.join(" AND ");
        let given = given(model, &key, &[]);
        let every: Vec<usize> = (0..model.columns.len()).collect();
        let read: Vec<_> = all.iter().map(|name| format!("known.{name}")).collect();
        Self {
            table: table.to_owned(),
            read: format!(
                "SELECT {} FROM {given} JOIN {table} AS known ON {held}",
                read.join(", ")
            ),
            write: upsert(model, table, &every, &searched, &[]),
            copy: format!(
                "COPY {table} ({}) FROM STDIN (FORMAT binary)",
                stored.join(", ")
            ),
            delete: format!("DELETE FROM {table} AS known USING {given} WHERE {held}"),
            parts: Vec::new(),
        }
    }

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
        let columns: SmallVec<[u16; 6]> = columns.collect();
        let set = columns.iter().map(|column| usize::from(*column));
        let all: Vec<_> = (0..model.key_length).chain(set).collect();
        // A row that comes into being begins with sums of 0; everything else begins with null.
        let sums: Vec<_> = (model.key_length..model.columns.len())
            .filter(|column| model.columns[*column].role == Role::Add)
            .collect();
        let searched = searched_among(model, &all);
        self.parts.push(Part {
            statement: upsert(model, &self.table, &all, &searched, &sums),
            columns,
        });
        Some(self.parts.len() - 1)
    }

    /// Returns a statement by what [`Self::part`] returned.
    pub(crate) fn by_part(&self, part: usize) -> &str {
        &self.parts[part].statement
    }

    /// Returns the columns that it writes, the key's included.
    pub(crate) fn columns_of(&self, model: &Model, part: usize) -> Vec<usize> {
        let set = self.parts[part].columns.iter().copied().map(usize::from);
        (0..model.key_length).chain(set).collect()
    }

    /// Returns how many statements for some columns there are.
    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }
}

/// Returns the searched ones among some columns.
pub(crate) fn searched_among(model: &Model, columns: &[usize]) -> Vec<usize> {
    let searched = model.searched_columns().into_iter();
    searched.filter(|column| columns.contains(column)).collect()
}

/// Writes rows with values for some columns, the key first; `zero` columns are only begun.
fn upsert(
    model: &Model,
    table: &str,
    columns: &[usize],
    searched: &[usize],
    zero: &[usize],
) -> String {
    let name = |column: &usize| schema::name(model, *column);
    let words = |column: &usize| schema::words_name(model, *column);
    let (key, set) = columns.split_at(model.key_length);
    let key: Vec<_> = key.iter().map(name).collect();
    let written: Vec<_> = set
        .iter()
        .map(name)
        .chain(searched.iter().map(words))
        .collect();
    let into = key.iter().chain(&written).cloned();
    let into: Vec<_> = into.chain(zero.iter().map(name)).collect();
    let values = columns.iter().map(|column| format!("given.c{column}"));
    // An array of arrays would come apart, so words come as one text.
    let lists = searched
        .iter()
        .map(|column| format!("string_to_array(given.w{column}, ' ')"));
    let zeros = zero.iter().map(|_| "0".to_owned());
    let values: Vec<_> = values.chain(lists).chain(zeros).collect();
    let over = if written.is_empty() {
        "NOTHING".into()
    } else {
        let set = written
            .iter()
            .map(|name| format!("{name} = excluded.{name}"));
        format!("UPDATE SET {}", set.collect::<Vec<_>>().join(", "))
    };
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {over}",
        into.join(", "),
        values.join(", "),
        given(model, columns, searched),
        key.join(", ")
    )
}

/// The rows of the parameters: one array per column, and then one per searched column.
fn given(model: &Model, columns: &[usize], searched: &[usize]) -> String {
    let typed = columns
        .iter()
        .map(|column| value::name(model.columns[*column].column_type));
    let arrays = typed.chain(searched.iter().map(|_| "text"));
    let arrays: Vec<_> = arrays
        .zip(1..)
        .map(|(name, number)| format!("${number}::{name}[]"))
        .collect();
    let names = columns.iter().map(|column| format!("c{column}"));
    let names: Vec<_> = names
        .chain(searched.iter().map(|column| format!("w{column}")))
        .collect();
    format!(
        "unnest({}) AS given({})",
        arrays.join(", "),
        names.join(", ")
    )
}

/// Rows on their way into parameters.
pub(crate) struct Rows {
    columns: Vec<Array>,
    words: Vec<(usize, Array)>,
}

impl Rows {
    /// Room for some columns of rows, and for the words of the searched ones.
    pub(crate) fn new(model: &Model, columns: &[usize], searched: &[usize]) -> Self {
        let array = |column: &usize| Array::new(model.columns[*column].column_type);
        let words = |column: &usize| (*column, Array::new(ColumnType::Text));
        Self {
            columns: columns.iter().map(array).collect(),
            words: searched.iter().map(words).collect(),
        }
    }

    /// Adds a key.
    pub(crate) fn push_key(&mut self, key: &RowKey) {
        for (array, value) in self.columns.iter_mut().zip(key) {
            array.push(value);
        }
    }

    /// Adds a whole row.
    pub(crate) fn push(&mut self, key: &RowKey, values: &RowValues) {
        for (array, value) in self.columns.iter_mut().zip(key.iter().chain(values)) {
            array.push(value);
        }
        for (column, array) in &mut self.words {
            array.push_text(words::of(part(key, values, *column)).as_deref());
        }
    }

    /// Adds a part of a row: what a change sets.
    pub(crate) fn push_part(&mut self, key: &RowKey, change: &Change) {
        let set = change.operands.iter().map(|(_, value)| value);
        for (array, value) in self.columns.iter_mut().zip(key.iter().chain(set)) {
            array.push(value);
        }
        for (column, array) in &mut self.words {
            let mut set = change.operands.iter();
            let set = set.find(|(set, _)| usize::from(*set) == *column);
            let value = key.get(*column).or(set.map(|(_, value)| value));
            array.push_text(value.and_then(words::of).as_deref());
        }
    }

    /// Returns them as parameters.
    pub(crate) fn arguments(self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        let words = self.words.into_iter().map(|(_, array)| array);
        for array in self.columns.into_iter().chain(words) {
            arguments.add(array).map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// Returns the value of one column of a row.
pub(crate) fn part<'r>(key: &'r RowKey, values: &'r RowValues, column: usize) -> &'r Value {
    let value = column.checked_sub(key.len());
    value.map_or_else(|| &key[column], |place| &values[place])
}
