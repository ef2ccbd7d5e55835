//! The laws of projectors: whatever the batches, faults and restarts, each event has exactly one
//! effect, and a table is what a plain fold of the log says.

#![allow(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "these are tests, whose doubles have the errors of the ports"
)]

mod embedded;
mod following;
mod idle;
mod lag;
mod log;
mod node;
mod on_cql;
mod on_postgres;
mod parking;
mod property;
mod replaying;
mod sharing;
mod stopping;
mod store;
mod switching;
mod tables;
mod together;
mod traffic;
mod verifying;
mod world;
