//! What things are called in Postgres.

use crate::GenerationNumber;

/// The longest name that Postgres keeps.
const NAME_BYTES_MAX: usize = 63;
/// Every table has these columns already, by these names.
const TAKEN: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// The names within one schema.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) schema: String,
}

impl Names {
    /// Returns one of Foldline's own tables, quoted.
    pub(crate) fn own(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(table))
    }

    /// Returns the table of a generation's rows, quoted.
    pub(crate) fn rows(&self, model: &str, number: GenerationNumber) -> String {
        self.own(&rows(model, number))
    }
}

/// Returns the name of the table of a generation's rows.
pub(crate) fn rows(model: &str, number: GenerationNumber) -> String {
    format!("{model}_g{number}")
}

/// Returns the name of an index, by the table and what it sorts by: one that a changed query asks
/// for beside the others is then another one.
pub(crate) fn index(table: &str, terms: &str) -> String {
    let hash = fnv(table, fnv(terms, 0xcbf2_9ce4_8422_2325));
    let room = NAME_BYTES_MAX - 17;
    let table = &table[..table.floor_char_boundary(room)];
    format!("{table}_{hash:016x}")
}

/// FNV-1a with 64 bits (RFC 9923).
fn fnv(text: &str, start: u64) -> u64 {
    text.bytes().fold(start, |number, byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the name of a column, quoted. No column of a definition can have a space in its name.
pub(crate) fn column(name: &str) -> String {
    if TAKEN.contains(&name) {
        return quoted(&format!("{name} "));
    }
    quoted(name)
}

/// Returns the name of the column that keeps a searched column's words, quoted.
pub(crate) fn words(name: &str) -> String {
    quoted(&format!("{name} words"))
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
