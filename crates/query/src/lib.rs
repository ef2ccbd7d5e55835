//! Declared queries over the tables of read models: typed parameters, cursors, waiting for a
//! position.
//!
//! ```text
//!   Request ──▶ the serving generation ──▶ parameters checked ──▶ select ──▶ absorbed enough?
//!                                                                   ▲             │ no: wait for
//!                                                                   └─────────────┘ the checkpoint
//! ```
//!
//! This crate reaches tables and nothing else: it cannot read the log, and it knows no HTTP.
//! What a query may ask is in the read model's file; there is no other way in.
//!
//! Start reading at [`Queries`], then `parameters.rs`.

mod access;
mod cursor;
mod error;
mod notice;
mod overview;
mod parameters;
mod parked;
mod queries;
mod rendering;
mod request;
mod serving;
#[cfg(test)]
mod tests;
mod value;
mod waiting;

pub use error::{Behind, QueryError};
pub use notice::Notice;
pub use overview::{GenerationOverview, Overview};
pub use parked::HeldBack;
pub use queries::{Load, Parts, Queries, Settings};
pub use request::{Answer, Request};
