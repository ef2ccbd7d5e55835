//! The tables, and the statements about rows.

use foldline_read_model::{ColumnType, Model, Role, Scope};
use scylla::value::CqlValue;

use super::{
    session::{Flavour, Store},
    value,
};
use crate::GenerationNumber;

/// For how long a tombstone is kept: longer than any write can be on its way, hints and repairs
/// included. A write that came after its tombstone is gone would bring back what was replaced.
const TOMBSTONES_KEPT_S: u32 = 10 * 24 * 3600;

/// The column with the lane of the last event in a row, or of a contribution.
pub(crate) const LANE: &str = "\"_lane\"";
/// The column with the lane sequence of the last event in a row.
pub(crate) const SEQUENCE: &str = "\"_seq\"";
/// The column that says that the last event deleted the row.
pub(crate) const GONE: &str = "\"_gone\"";
/// A partition column that is always 0: a partition of one text alone could not be the empty one.
const PART: &str = "\"_part\"";

/// The tables that Foldline keeps beside the rows.
pub(crate) const OWN: [(&str, &str); 4] = [
    (
        "foldline_generations",
        "model text, number int, revision text, definition text, log_id blob, served boolean, \
         last int STATIC, switches bigint STATIC, serving int STATIC, \
         PRIMARY KEY (model, number)",
    ),
    (
        "foldline_turns",
        "model text, contender uuid, choosing boolean, number bigint, \
         PRIMARY KEY (model, contender)",
    ),
    (
        "foldline_checkpoints",
        "model text, generation int, lane int, checkpoint text, retired boolean STATIC, \
         PRIMARY KEY ((model, generation), lane)",
    ),
    (
        "foldline_parked",
        "model text, generation int, user blob, lane_sequence bigint, lane int, position text, \
         reason text, PRIMARY KEY ((model, generation), user, lane_sequence)",
    ),
];

/// Returns the statement that makes the keyspace.
pub(crate) fn keyspace(name: &str, replicas: u8) -> String {
    format!(
        "CREATE KEYSPACE IF NOT EXISTS \"{name}\" WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
    )
}

/// Returns the statement that makes one of Foldline's own tables.
pub(crate) fn own(store: &Store, name: &str, columns: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({columns}) WITH {}",
        store.table(name),
        options(store.flavour)
    )
}

/// The options of every table. ScyllaDB otherwise drops a tombstone with the next repair, or at
/// once where there is one replica.
fn options(flavour: Flavour) -> String {
    let kept = format!("gc_grace_seconds = {TOMBSTONES_KEPT_S}");
    match flavour {
        Flavour::Cassandra => kept,
        Flavour::Scylla => format!("{kept} AND tombstone_gc = {{'mode': 'timeout'}}"),
    }
}

/// Returns the name of a generation's table. A number is never given twice, so a writer that is
/// left over from a retired generation has no table to write to.
pub(crate) fn table_name(model: &str, number: GenerationNumber) -> String {
    format!("{model}_g{number}")
}

/// How the rows of a model lie in CQL.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Rows are written whole, as absolute values, and guarded by the last event in them. Where
    /// every column is only set and nothing is deleted, columns are written blindly.
    pub(crate) guarded: bool,
    /// One row per lane that contributes, put together when it is read: sequences of different
    /// lanes do not compare.
    pub(crate) shared: bool,
    /// The partition has a column before the model's.
    pub(crate) part: bool,
    /// The full name of the table.
    table: String,
    /// The names of the model's columns, quoted.
    names: Vec<String>,
    key_length: usize,
    partition_length: usize,
}

impl Layout {
    pub(crate) fn new(model: &Model, table: String) -> Self {
        let only_sets = model.value_columns().iter().all(|c| c.role == Role::Set);
        let names = model.columns.iter().map(|column| quoted(&column.name));
        let alone = model.partition_length == 1;
        Self {
            guarded: !only_sets || model.rules.delete_rows(),
            shared: model.scope == Scope::Shared,
            part: alone && model.columns[0].column_type == ColumnType::Text,
            table,
            names: names.collect(),
            key_length: model.key_length,
            partition_length: model.partition_length,
        }
    }

    /// Returns the statement that makes the table.
    pub(crate) fn create(&self, model: &Model, flavour: Flavour) -> String {
        let mut columns: Vec<String> = Vec::new();
        if self.part {
            columns.push(format!("{PART} tinyint"));
        }
        for (name, column) in self.names.iter().zip(&model.columns) {
            columns.push(format!("{name} {}", value::storage(column.column_type)));
        }
        columns.push(format!("{LANE} int, {SEQUENCE} bigint"));
        if self.guarded {
            columns.push(format!("{GONE} boolean"));
        }
        let mut clustering: Vec<(String, &str)> = Vec::new();
        for column in self.partition_length..self.key_length {
            let down = model.columns[column].role == Role::Key { descending: true };
            let direction = if down { "DESC" } else { "ASC" };
            clustering.push((self.names[column].clone(), direction));
        }
        if self.shared {
            clustering.push((LANE.to_owned(), "ASC"));
        }
        let names: String = clustering
            .iter()
            .map(|(name, _)| format!(", {name}"))
            .collect();
        let order: Vec<_> = clustering
            .iter()
            .map(|(name, direction)| format!("{name} {direction}"))
            .collect();
        let order = match order.as_slice() {
            [] => String::new(),
            order => format!("CLUSTERING ORDER BY ({}) AND ", order.join(", ")),
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY (({}){names})) WITH {order}{}",
            self.table,
            columns.join(", "),
            self.partition().join(", "),
            options(flavour),
        )
    }

    fn partition(&self) -> Vec<String> {
        let part = self.part.then(|| PART.to_owned());
        let names = self.names[..self.partition_length].iter().cloned();
        part.into_iter().chain(names).collect()
    }

    /// The statement that writes a row: its parameters are [`Self::fixed`], the model's columns,
    /// lane, sequence, whether it is gone (where rows are guarded), and the timestamp.
    pub(crate) fn write(&self) -> String {
        let part = self.part.then(|| PART.to_owned());
        let mut columns: Vec<_> = part.into_iter().chain(self.names.iter().cloned()).collect();
        columns.extend([LANE, SEQUENCE].map(str::to_owned));
        if self.guarded {
            columns.push(GONE.to_owned());
        }
        let marks = vec!["?"; columns.len()].join(", ");
        format!(
            "INSERT INTO {} ({}) VALUES ({marks}) USING TIMESTAMP ?",
            self.table,
            columns.join(", ")
        )
    }

    /// The columns of every read: the model's, lane, sequence, whether it is gone.
    fn read_columns(&self) -> String {
        let gone = if self.guarded {
            format!(", {GONE}")
        } else {
            String::new()
        };
        format!("{}, {LANE}, {SEQUENCE}{gone}", self.names.join(", "))
    }

    /// The statement that reads one row as it is written: its parameters are [`Self::fixed`], the
    /// key, and the lane where rows are contributions.
    pub(crate) fn read_one(&self) -> String {
        let mut terms: Vec<_> = self
            .partition()
            .iter()
            .map(|name| format!("{name} = ?"))
            .collect();
        for name in &self.names[self.partition_length..self.key_length] {
            terms.push(format!("{name} = ?"));
        }
        if self.shared {
            terms.push(format!("{LANE} = ?"));
        }
        self.read_where(&terms)
    }

    /// The statement that reads rows of one partition; its parameters are [`Self::fixed`] and
    /// those of the terms.
    pub(crate) fn read_partition(&self, terms: &[String]) -> String {
        let part = self.part.then(|| format!("{PART} = ?"));
        let terms: Vec<_> = part.into_iter().chain(terms.iter().cloned()).collect();
        self.read_where(&terms)
    }

    /// The statement that reads all rows.
    pub(crate) fn read_all(&self) -> String {
        format!("SELECT {} FROM {}", self.read_columns(), self.table)
    }

    fn read_where(&self, terms: &[String]) -> String {
        format!("{} WHERE {}", self.read_all(), terms.join(" AND "))
    }

    /// The parameters before those of the model's columns.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = CqlValue> {
        self.part.then_some(CqlValue::TinyInt(0)).into_iter()
    }

    /// Returns the name of a column, quoted.
    pub(crate) fn name(&self, column: usize) -> &str {
        &self.names[column]
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
