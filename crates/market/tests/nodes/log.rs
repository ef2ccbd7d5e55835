//! What must hold of the log afterwards, whatever happened while it was written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    cluster::{Cluster, LANES},
    load::Outcome,
};

/// Each accepted command is there once, nothing else is, sequences have no gaps, and no writer
/// has an event after one of a later writer.
pub(crate) fn assert_holds(cluster: &Cluster, outcome: &Outcome) {
    let events = cluster.export("catalog");
    let mut commands: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut streams: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut lanes: BTreeMap<u32, Vec<&Value>> = BTreeMap::new();
    for event in &events {
        let user = text(event, "subject");
        *commands
            .entry((user, text(event, "commandid")))
            .or_default() += 1;
        streams.entry(user).or_default().push(event);
        lanes.entry(lane_of(user)).or_default().push(event);
    }
    for (user, keys) in &outcome.accepted {
        for key in keys {
            let times = commands.remove(&(user.as_str(), key.as_str()));
            assert_eq!(times, Some(1), "the accepted command {key} of {user}");
        }
    }
    assert!(commands.is_empty(), "nobody was told of {commands:?}");
    for (user, of_user) in &streams {
        gapless(user, of_user, "streamversion");
    }
    for (lane, mut of_lane) in lanes {
        gapless(&format!("partition {lane}"), &of_lane, "sequence");
        of_lane.sort_by_key(|event| number(event, "lanesequence"));
        gapless(&format!("lane {lane}"), &of_lane, "lanesequence");
        let epochs: Vec<u64> = of_lane.iter().map(|event| number(event, "epoch")).collect();
        assert!(epochs.is_sorted(), "lane {lane} has the epochs {epochs:?}");
        let writers: BTreeSet<u64> = epochs.into_iter().collect();
        println!(
            "lane {lane}: {} events of {} writers",
            of_lane.len(),
            writers.len()
        );
    }
}

fn gapless(what: &str, events: &[&Value], attribute: &str) {
    for (event, due) in events.iter().zip(1..) {
        assert_eq!(
            number(event, attribute),
            due,
            "{what}: {attribute} of {event}"
        );
    }
}

pub(crate) fn lane_of(user: &str) -> u32 {
    (foldline::kernel::murmur2(user.as_bytes()) & 0x7fff_ffff) % u32::from(LANES)
}

fn text<'a>(event: &'a Value, attribute: &str) -> &'a str {
    let text = event[attribute].as_str();
    text.unwrap_or_else(|| panic!("no text {attribute} in {event}"))
}

fn number(event: &Value, attribute: &str) -> u64 {
    let value = &event[attribute];
    let written = || value.as_str().and_then(|digits| digits.parse().ok());
    let number = value.as_u64().or_else(written);
    number.unwrap_or_else(|| panic!("no number {attribute} in {event}"))
}
