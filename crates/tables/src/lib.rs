//! Rows, checkpoints, parked users and generations of read models, in real stores.
//!
//! [`Tables`] is the port; [`Sqlite`] keeps the tables in one directory that several processes of
//! one host can use, [`Postgres`] in a schema, [`Cql`] in a keyspace of ScyllaDB or Cassandra. A
//! store knows keys, changes and checkpoints; it knows no event, no log and no HTTP. [`faulty`]
//! wraps any store and makes it fail on command, for tests.
//!
//! Start reading at [`Tables`] in `port.rs`.

mod cache;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod cql;
mod error;
pub mod faulty;
mod indexes;
mod port;
mod postgres;
mod sqlite;

pub use cql::Cql;
pub use error::{CommitError, Source, SwitchError, TableError};
pub use port::{
    Absorbed, AsOf, Batch, Condition, DatedRow, Generation, GenerationNumber, GenerationState,
    Grain, OrderValue, Parked, Refusal, Select, Selected, TableReader, TableSnapshot, TableWriter,
    Tables, Words,
};
pub use postgres::{Postgres, PostgresSettings};
pub use sqlite::Sqlite;
