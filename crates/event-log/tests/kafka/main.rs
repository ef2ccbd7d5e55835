//! The log on Kafka: the laws of every log, and what only a cluster can go through.

#![allow(clippy::unwrap_used, reason = "a test may end there, helpers included")]

mod conformance;
mod ground;
mod raw;
