//! The table of one generation, and the indexes that its queries ask for.

use foldline_read_model::{Field, Model, OrderTerm, Role};

use super::{names, value};
use crate::{
    GenerationNumber,
    indexes::{self, is_descending},
};

/// A row that is written again stays on its page where there is room, and no index is touched;
/// what is left behind is cleared before it is a fifth of the table.
const STORAGE: &str = "fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, \
     autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02";

/// Returns the statement that makes the table of a generation's rows, without any index.
pub(crate) fn table(model: &Model, table: &str) -> String {
    let mut columns = Vec::new();
    for (index, column) in model.columns.iter().enumerate() {
        let not_null = if index < model.key_length {
            " NOT NULL"
        } else {
            ""
        };
        let declared = value::declared(column.column_type);
        columns.push(format!("{} {declared}{not_null}", name(model, index)));
    }
    for column in model.searched_columns() {
        columns.push(format!("{} text[]", words_name(model, column)));
    }
    let columns = columns.join(",\n  ");
    format!("CREATE TABLE {table} (\n  {columns}\n) WITH ({STORAGE})")
}

/// Returns the statement that makes the index of the key: no row comes twice, rows are found by
/// it, and a list in clustering order needs no other one.
pub(crate) fn key_index(model: &Model, number: GenerationNumber, table: &str) -> String {
    let key: Vec<_> = (0..model.key_length)
        .map(|index| term(model, Field::Column(index), is_descending(model, index)))
        .collect();
    let terms = key.join(", ");
    let named = index_name(model, number, &format!("key {terms}"));
    format!("CREATE UNIQUE INDEX IF NOT EXISTS {named} ON {table} ({terms})")
}

/// Returns the statements that make the indexes of a model's queries, each once.
pub(crate) fn indexes(model: &Model, number: GenerationNumber, table: &str) -> Vec<String> {
    let sorted = |terms: Vec<OrderTerm>| {
        let terms = terms.iter().map(|of| term(model, of.field, of.descending));
        let terms = terms.collect::<Vec<_>>().join(", ");
        let named = index_name(model, number, &terms);
        format!("CREATE INDEX IF NOT EXISTS {named} ON {table} ({terms})")
    };
    let by_word = |column: usize| {
        let column = words_name(model, column);
        let named = index_name(model, number, &column);
        format!("CREATE INDEX IF NOT EXISTS {named} ON {table} USING gin ({column})")
    };
    let wanted = indexes::wanted(model).into_iter().map(sorted);
    let searched = model.searched_columns().into_iter().map(by_word);
    wanted.chain(searched).collect()
}

fn index_name(model: &Model, number: GenerationNumber, terms: &str) -> String {
    names::quoted(&names::index(&names::rows(&model.name, number), terms))
}

/// Returns a term of an order, as indexes and queries write it: null is below everything.
pub(crate) fn term(model: &Model, field: Field, descending: bool) -> String {
    // What is never null is left in the way that indexes have by themselves.
    let direction = match (descending, may_be_null(model, field)) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, false) => " DESC",
        (true, true) => " DESC NULLS LAST",
    };
    format!("{}{direction}", expression(model, field))
}

/// Tells whether a field can be null.
pub(crate) fn may_be_null(model: &Model, field: Field) -> bool {
    match field {
        Field::Column(column) => {
            !matches!(model.columns[column].role, Role::Key { .. } | Role::Add)
        }
        Field::Derived(_) => true,
    }
}

/// Returns what a field is in SQL; indexes and queries use the same text.
pub(crate) fn expression(model: &Model, field: Field) -> String {
    match field {
        Field::Column(column) => name(model, column),
        Field::Derived(derived) => {
            let derived = &model.derived[derived];
            format!(
                "({}::float8 / NULLIF({}, 0)::float8)",
                name(model, derived.dividend),
                name(model, derived.divisor)
            )
        }
    }
}

/// Returns the name of a column, quoted.
pub(crate) fn name(model: &Model, column: usize) -> String {
    names::column(&model.columns[column].name)
}

/// Returns the name of the column that keeps a searched column's words, quoted.
pub(crate) fn words_name(model: &Model, column: usize) -> String {
    names::words(&model.columns[column].name)
}

/// Says that a table is not where the registry has it.
pub(crate) fn missing_trouble(table: &str) -> String {
    format!("there is no table {table}; a replay of the read model builds it anew")
}
