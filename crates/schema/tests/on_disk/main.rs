//! What is on disk: the bytes of a record, what survives a round trip, what is told of a damaged
//! one, and how older shapes are read.

#![allow(clippy::unwrap_used, reason = "what only tests call is a test")]

mod catalog;
mod cloud_events;
mod examples;
mod golden;
mod malformed;
mod round_trip;
