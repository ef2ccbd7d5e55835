//! The embedded log: the laws of every log, and what only a directory can go through.

mod conformance;
mod crash;
mod directory;
mod raw;
mod snapshots;

use std::path::Path;

use foldline_event_log::{
    Embedded,
    conformance::LANES,
    embedded::{OpenError, Settings},
};

/// Opens a log with these contexts.
fn open(dir: &Path, contexts: &[&str]) -> Result<Embedded, OpenError> {
    let contexts = contexts.iter().map(|name| name.parse().unwrap()).collect();
    let settings = Settings {
        name: "market".parse().unwrap(),
        lanes: LANES,
        contexts,
    };
    Embedded::open(dir, settings)
}
