//! The command side: one task per lane decides, groups, appends and answers.
//!
//! ```text
//!   submit ─▶ bounded queue ─▶ decide against state ─▶ batch ─▶ append ─▶ answer
//!                                 ▲        while one batch is made durable,
//!                                 └──────  the next one is being decided
//! ```
//!
//! Every answer, a refusal too, waits for an append that began after it was decided: so it never
//! speaks from a batch that failed later, and a replaced writer can refuse nothing.
//!
//! The command side knows the log and the deciders. It cannot reach a table, and it knows no
//! HTTP. Start reading at [`CommandSide`], then `lane.rs`.

mod answer;
mod contexts;
mod growth;
mod hop;
mod lane;
mod meters;
mod owned;
mod passing;
mod side;
mod state;
mod user;
mod users;

pub use answer::{Accepted, Answer, CommandError, Credentials, Request};
pub use contexts::{Contexts, ParseError};
pub use hop::{Hop, ParseHopError};
pub use owned::LaneHealth;
pub use passing::{Courier, Neighbours, Owner, Owners, Passed, Undelivered};
pub use side::{CommandSide, Settings};
pub use state::StateSettings;
