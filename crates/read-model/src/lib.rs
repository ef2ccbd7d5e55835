//! Read models as definitions: read from a file, checked, and folded without any store.
//!
//! [`Model`] is a checked definition; [`Model::fold`] turns an event into what it does to rows
//! ([`Change`]), a pure function of the event. This crate knows no store, no log and no clock.
//!
//! ```text
//!   projections/order.toml ──parse──▶ Definition ──check against the Catalog──▶ Model
//!   Event ──Model::fold──▶ (RowKey, Change)*  ──then──▶ one Change per row ──apply──▶ row
//! ```
//!
//! Start reading at [`Model`], then [`Change`].

mod change;
mod model;
mod value;

pub use change::{Change, Overflow, RowKey, RowValues};
pub use model::{
    Access, Column, Derived, Field, Filter, FilterKind, Model, Order, OrderTerm, PAGE_MAX, Query,
    Revision, Role, Scope, TableKind,
};
pub use rules::Rules;
pub use value::{ColumnType, Value};

mod rules {
    /// placeholder
    #[derive(Debug)]
    pub struct Rules;
}
