//! The marketplace's domain: what its five contexts take, decide and record.
//!
//! It knows no HTTP, no log and no table. Every rule is a pure function of a command, the user's
//! state and the [`Situation`](foldline::kernel::Situation) (see [`Decider`]), and is told as
//! given/when/then beside it.
//!
//! ```
//! use foldline::kernel::spec::given;
//! use market::contexts::orders::{Orders, Place};
//! use market::{Currency, OrderId};
//!
//! let place = Place {
//!     order_id: OrderId(uuid::Uuid::nil()),
//!     currency: Currency::BRL,
//!     lines: vec![],
//! };
//! given::<Orders>([]).when(place).then_rejected("order-without-lines");
//! ```
//!
//! Start reading at [`contexts::orders`]; the other contexts have the same skeleton.
//!
//! [`Decider`]: foldline::kernel::Decider

mod application;
pub mod contexts;
mod few;
mod ids;
mod money;
pub mod schemas;
mod text;

pub use application::application;
pub use ids::{OrderId, PaymentId, ProductId, ReviewId};
pub use money::{Cents, Currency, InvalidCents, InvalidCurrency, InvalidDecimal};
pub use schemas::catalog;
pub use text::{InvalidText, Text};

/// The log's name: the first part of every event's `source`, and of its schema's URN.
pub const LOG_NAME: &str = "market";
