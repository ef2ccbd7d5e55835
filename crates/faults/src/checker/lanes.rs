//! What must hold of the topics alone: places, writers, streams and whole commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::{Findings, event::Event, topics::Topics};
use crate::load::lane_of;

/// Checks the topics, and returns the events of each lane in the order of the lane.
pub fn check<'a>(topics: &'a Topics, lanes: u16, findings: &mut Findings) -> Vec<Vec<&'a Event>> {
    for trouble in &topics.unreadable {
        findings.add("unreadable", trouble);
    }
    partitions(topics, lanes, findings);
    let mut of_lanes: Vec<Vec<&Event>> = vec![Vec::new(); usize::from(lanes)];
    for event in &topics.events {
        of_lanes[usize::from(event.partition)].push(event);
    }
    let announced = announcements(topics, findings);
    for (lane, events) in of_lanes.iter_mut().enumerate() {
        events.sort_by_key(|event| event.lane_sequence);
        sequence(lane, events, &announced, findings);
        streams(events, findings);
        commands(events, findings);
    }
    of_lanes
}

/// In the order of the offsets: gapless from 1, writers only ever replaced by later ones.
fn partitions(topics: &Topics, lanes: u16, findings: &mut Findings) {
    let mut last: BTreeMap<(&str, u16), (u64, u64)> = BTreeMap::new();
    for event in &topics.events {
        let at = last.entry((&event.context, event.partition)).or_default();
        let (sequence, epoch) = *at;
        let position = event.position();
        if event.sequence != sequence + 1 {
            let kind = if event.sequence <= sequence {
                "doubled"
            } else {
                "gap"
            };
            findings.add(kind, format!("{position} comes after sequence {sequence}"));
        }
        if event.epoch < epoch {
            let text = format!(
                "{position} of epoch {} comes after epoch {epoch}",
                event.epoch
            );
            findings.add("fenced-writer", text);
        }
        *at = (event.sequence, epoch.max(event.epoch));
        if lane_of(event.user, lanes) != event.partition {
            findings.add("misplaced", format!("{position} of user {}", event.user));
        }
    }
}

/// Each writer is announced once, by an epoch that nobody had before.
fn announcements(topics: &Topics, findings: &mut Findings) -> BTreeSet<(usize, u64)> {
    let mut announced = BTreeSet::new();
    let mut last: BTreeMap<u16, u64> = BTreeMap::new();
    for (lane, owner) in &topics.owners {
        let before = last.entry(*lane).or_default();
        let (epoch, is_new) = (owner.epoch, owner.kind == "announced");
        if epoch < *before || is_new && epoch == *before {
            let text = format!("lane {lane}: {} epoch {epoch} after {before}", owner.kind);
            findings.add("fenced-writer", text);
        }
        *before = (*before).max(epoch);
        announced.insert((usize::from(*lane), epoch));
    }
    announced
}

/// In the order of the lane: gapless from 1, epochs never fall, and each was announced.
fn sequence(
    lane: usize,
    events: &[&Event],
    announced: &BTreeSet<(usize, u64)>,
    findings: &mut Findings,
) {
    let (mut last, mut epoch) = (0, 0);
    for event in events {
        let (position, at) = (event.position(), event.lane_sequence);
        if at != last + 1 {
            let kind = if at <= last { "doubled" } else { "gap" };
            let text = format!("lane {lane}: {position} has lane sequence {at} after {last}");
            findings.add(kind, text);
        }
        if event.epoch < epoch {
            let text = format!(
                "lane {lane}: {position} of epoch {} after {epoch}",
                event.epoch
            );
            findings.add("fenced-writer", text);
        }
        if event.epoch != epoch && !announced.contains(&(lane, event.epoch)) {
            let text = format!("lane {lane}: {position} of epoch {}", event.epoch);
            findings.add("unannounced-writer", text);
        }
        (last, epoch) = (at, event.epoch);
    }
}

/// The versions of each stream: gapless from 1.
fn streams(events: &[&Event], findings: &mut Findings) {
    let mut versions: HashMap<(Uuid, &str), u64> = HashMap::new();
    let mut ids = BTreeSet::new();
    for event in events {
        let version = versions.entry((event.user, &event.context)).or_default();
        if event.stream_version != *version + 1 {
            let (position, now) = (event.position(), event.stream_version);
            findings.add(
                "stream",
                format!("{position} has version {now} after {version}"),
            );
        }
        *version = event.stream_version;
        if !ids.insert(event.id) {
            findings.add("doubled", format!("the event {} is there twice", event.id));
        }
    }
}

/// All events of a command are there, next to each other, and no second time.
fn commands(events: &[&Event], findings: &mut Findings) {
    let mut done = BTreeSet::new();
    let mut open: Option<&Event> = None;
    for event in events {
        let (part, of) = event.part;
        let goes_on = open.is_some_and(|before| {
            (before.user, &before.key, &before.context) == (event.user, &event.key, &event.context)
                && part == before.part.0 + 1
        });
        let position = event.position();
        if let Some(before) = open.filter(|_| !goes_on) {
            let (part, of) = before.part;
            let text = format!(
                "{} is part {part}/{of}, and {position} follows",
                before.position()
            );
            findings.add("torn", text);
        }
        if !goes_on {
            if part != 1 {
                findings.add("torn", format!("{position} begins with part {part}/{of}"));
            }
            if !done.insert((event.user, &event.context, &event.key)) {
                findings.add(
                    "doubled",
                    format!("{position}: the key {} again", event.key),
                );
            }
        }
        open = (part < of).then_some(*event);
    }
    if let Some(event) = open {
        findings.add("torn", format!("{} is the lane's last", event.position()));
    }
}
