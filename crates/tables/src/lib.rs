//! Rows, checkpoints, parked users and generations of read models, in real stores.
//!
//! [`Tables`] is the port; [`Sqlite`] keeps the tables in one directory that several processes of
//! one host can use. A store knows keys, changes and checkpoints; it knows no event, no log and no
//! HTTP.
//!
//! Start reading at [`Tables`] in `port.rs`.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod port;
mod sqlite;

pub use port::{
    Absorbed, Batch, CommitError, Condition, Generation, GenerationNumber, GenerationState,
    OrderValue, Parked, Select, Selected, Source, TableError, TableReader, TableSnapshot,
    TableWriter, Tables, Words,
};
pub use sqlite::Sqlite;
