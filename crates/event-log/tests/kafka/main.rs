//! The log on Kafka: the laws of every log, and what only a cluster can go through.

#![allow(clippy::unwrap_used, reason = "a test may end there, helpers included")]

mod conformance;
mod following;
mod ground;
mod opening;
mod raw;
mod snapshots;
mod spread;
mod writing;

use foldline_kernel::{Context, Lane};

const LANE: Lane = Lane(1);

fn contexts() -> Vec<Context> {
    let names = ["orders", "payments", "reviews"];
    names.iter().map(|name| name.parse().unwrap()).collect()
}
