//! The embedded log: the laws of every log, and what only a directory can go through.

#![allow(clippy::unwrap_used, reason = "a test may end there, helpers included")]

mod child;
mod conformance;
mod crash;
mod cut_off;
mod directory;
mod faults;
mod raw;
mod reading;
mod snapshots;
mod spread;

use std::{path::Path, sync::Arc};

use foldline_event_log::{
    Announcement, Embedded, EventLog, From,
    conformance::{LANES, commands},
    embedded::{OpenError, Settings},
};
use foldline_kernel::{Context, Lane};
use foldline_schema::Event;

const LANE: Lane = Lane(1);

fn orders() -> Context {
    "orders".parse().unwrap()
}

/// Opens a log with these contexts.
fn open(dir: &Path, contexts: &[&str]) -> Result<Embedded, OpenError> {
    Embedded::open(dir, settings(contexts))
}

fn settings(contexts: &[&str]) -> Settings {
    Settings {
        name: "market".parse().unwrap(),
        lanes: LANES,
        contexts: contexts.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

/// Appends one event per name, each in an append of its own.
async fn append(log: &Embedded, names: &[&str]) {
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for name in names {
        let batch = commands(log.topology(), LANE, &orders(), [name]);
        writer.append(batch).await.unwrap();
    }
}

/// Reads the lane to its end.
async fn read(log: &Embedded) -> Vec<Arc<Event>> {
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let mut events = Vec::new();
    while follower.checkpoint().lane_sequence < follower.heads().lane_sequence {
        events.extend(follower.next_batch(1000).await.unwrap());
    }
    events
}

async fn names(log: &Embedded) -> Vec<String> {
    let events = read(log).await;
    events
        .iter()
        .map(|event| event.command_id.to_string())
        .collect()
}
