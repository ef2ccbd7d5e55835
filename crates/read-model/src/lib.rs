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
//! ```
//! use foldline_read_model::load_str;
//! use foldline_schema::Catalog;
//!
//! let errors = load_str("order.toml", "name = 'order'", &Catalog::default()).unwrap_err();
//! assert!(errors.to_string().starts_with("order.toml:1:1: `table` is missing"));
//! ```
//!
//! Start reading at [`load_str`] and [`Model`], then [`Change`].

mod change;
mod check;
mod definition;
mod expression;
mod fold;
mod load;
mod members;
mod model;
mod plain;
mod revision;
mod rules;
mod shape;
pub mod spec;
mod suggest;
mod trouble;
mod value;
mod words;

pub use change::{Change, Overflow, RowKey, RowValues};
pub use fold::{FoldError, SHARED_ADD_MAX};
pub use load::{load_dir, load_str};
pub use model::{
    Access, Column, Derived, Field, Filter, FilterKind, Model, Order, OrderTerm, PAGE_MAX, Query,
    Revision, Role, Scope, TableKind,
};
pub use plain::{ParkedUser, PlainFold};
pub use rules::Rules;
pub use trouble::{LoadError, LoadErrors};
pub use value::{ColumnType, Value};
pub use words::{fold_words, query_words};
