//! A checked read model: what it is keyed by, which columns it has, what may be asked of it.

use std::sync::Arc;

use foldline_kernel::Context;

use crate::{ColumnType, Rules, Value};

/// A read model whose definition has been checked; everything in it refers to columns by index.
#[derive(Debug)]
pub struct Model {
    /// The name, as in `projections/{name}.toml` and in URLs.
    pub name: Arc<str>,
    /// The hash of its rules: another revision is another table, built anew.
    pub revision: Revision,
    /// The definition it was made of, as TOML: a store keeps it with each generation, so that an
    /// older one can still be followed and read after the file has changed.
    pub definition: Arc<str>,
    /// Which kind of store it belongs on.
    pub table: TableKind,
    /// Whether a row belongs to one user.
    pub scope: Scope,
    /// The contexts that feed it. One: it follows that topic; several: the lanes.
    pub source: Vec<Context>,
    /// All columns: key columns first (in key order), then the others.
    pub columns: Vec<Column>,
    /// How many of `columns` make up the key.
    pub key_length: usize,
    /// How many of the key columns are the partition (all of them on a relational table).
    pub partition_length: usize,
    /// In scope `user`: the key column that holds the user.
    pub user_column: Option<usize>,
    /// A row shows once this column is not null.
    pub present: Option<usize>,
    /// Values computed from columns when read.
    pub derived: Vec<Derived>,
    /// What each event does.
    pub rules: Rules,
    /// What may be asked.
    pub queries: Vec<Query>,
}

/// The rules of a read model, as a hash in hex.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub String);

/// Which kind of store a read model belongs on; embedded, both are SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Partitioned and clustered: ScyllaDB.
    Wide,
    /// Indexed freely: Postgres.
    Relational,
}

/// Whether a row belongs to one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The user is part of the key.
    User,
    /// Rows are fed by many users; only `add`, `max` and `min` can be exact.
    Shared,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name; hidden ones begin with `_`.
    pub name: Arc<str>,
    /// Its type.
    pub column_type: ColumnType,
    /// What happens to it.
    pub role: Role,
}

impl Column {
    /// Tells whether clients never see the column.
    pub fn is_hidden(&self) -> bool {
        self.name.starts_with('_')
    }

    /// Returns the value before any event: 0 for `add`, null for everything else.
    pub fn start(&self) -> Value {
        if self.role == Role::Add {
            Value::Bigint(0)
        } else {
            Value::Null
        }
    }
}

/// What happens to a column; one thing each, so that folding commutes with batching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Part of the key; `true` where it clusters in descending order.
    Key {
        /// The order within a partition.
        descending: bool,
    },
    /// The last value said.
    Set,
    /// The sum of what was added.
    Add,
    /// The greatest value said.
    Max,
    /// The least value said.
    Min,
}

/// A value computed when read: `dividend / divisor` as a decimal, null where the divisor is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The name clients see.
    pub name: Arc<str>,
    /// A `bigint` column.
    pub dividend: usize,
    /// A `bigint` column.
    pub divisor: usize,
}

/// A declared query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its name, as in the URL.
    pub name: Arc<str>,
    /// The parameters it takes on columns.
    pub filters: Vec<Filter>,
    /// What every row it returns has, such as `listed = true`.
    pub only: Vec<(usize, Value)>,
    /// The columns that `text` searches; empty where it takes none.
    pub text: Vec<usize>,
    /// The orders to choose from, the first by default. Each ends with the whole key, ascending
    /// (on a wide table: the clustering order), so that it is total and a cursor can continue.
    pub orders: Vec<Order>,
    /// How many rows a page has unless the caller says otherwise.
    pub page: u32,
    /// The visible columns and derived values it returns, by name, in order.
    pub fields: Vec<Field>,
    /// Who may ask.
    pub access: Access,
}

/// The most rows that one page can have.
pub const PAGE_MAX: u32 = 1000;

/// Something a query returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A column.
    Column(usize),
    /// An entry of [`Model::derived`].
    Derived(usize),
}

/// A parameter on a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The column.
    pub column: usize,
    /// `x` by equality, or `x_from` and `x_to`, both inclusive.
    pub kind: FilterKind,
    /// Whether it may be left out.
    pub optional: bool,
}

/// How a parameter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKind {
    /// Equal.
    Eq,
    /// Between two bounds, either of which may be left out where the filter is optional.
    Range,
}

/// One order of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The name by which `order=` chooses it: the file's (`newest: listed_at desc`), else the first
    /// term's, such as `revenue_cents desc`.
    pub name: Arc<str>,
    /// The terms, most significant first.
    pub terms: Vec<OrderTerm>,
}

/// One term of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderTerm {
    /// What is compared.
    pub field: Field,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Who may ask a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The user whose rows they are, and staff.
    Owner,
    /// Staff only.
    Staff,
    /// Anybody.
    Public,
    /// Callers with this role, and staff.
    Role(Arc<str>),
}

impl Model {
    /// Returns the index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.as_ref() == name)
    }

    /// Returns a query by name.
    pub fn query(&self, name: &str) -> Option<&Query> {
        self.queries
            .iter()
            .find(|query| query.name.as_ref() == name)
    }

    /// Returns the columns after the key.
    pub fn value_columns(&self) -> &[Column] {
        &self.columns[self.key_length..]
    }

    /// Returns every column that some query searches by words, each once.
    pub fn searched_columns(&self) -> Vec<usize> {
        let mut columns: Vec<_> = self
            .queries
            .iter()
            .flat_map(|q| q.text.iter().copied())
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Tells whether several contexts feed the model, so that it follows the lanes.
    pub fn follows_lanes(&self) -> bool {
        self.source.len() > 1
    }
}
