//! Foldline: an event-sourced backend whose commands, log, read models and queries stay apart.
//!
//! A team describes its contexts ([`kernel::Decider`]) and its read models (TOML files) in an
//! [`Application`]; this crate runs them: roles, configuration, command line, telemetry, admin
//! routes. It holds no rule of its own about events, rows or positions.
//!
//! Start reading at [`Application`], then `node.rs`, where the parts are put together.

mod admin;
mod application;
pub mod cli;
pub mod configuration;
mod definitions;
mod lanes;
mod log;
mod node;
mod role;
mod spread_projectors;
mod stores;
mod switches;
mod telemetry;

pub use application::Application;
pub use foldline_http::problem;
pub use foldline_kernel as kernel;
pub use foldline_read_model as read_model;
pub use foldline_schema as schema;
pub use node::Node;
pub use role::Role;
