//! What must hold of an exported log, whatever happened while it was written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::node::{CONTEXTS, Node};

/// How many lanes an embedded log has unless it was told otherwise; those of these tests have as
/// many, wherever they are.
pub(crate) const LANES: u32 = 8;

/// The events of every context.
pub(crate) struct Log(pub(crate) BTreeMap<&'static str, Vec<Value>>);

impl Log {
    /// Everything that the node exports.
    pub(crate) fn of(node: &Node) -> Self {
        Self(
            CONTEXTS
                .map(|context| (context, node.export(context)))
                .into(),
        )
    }

    /// The number of events of each type.
    pub(crate) fn events(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for event in self.0.values().flatten() {
            *counts.entry(text(event, "type")).or_default() += 1;
        }
        counts
    }

    /// The ids of all events.
    pub(crate) fn ids(&self) -> BTreeSet<&str> {
        self.0
            .values()
            .flatten()
            .map(|event| text(event, "id"))
            .collect()
    }

    /// Sequences and versions are gapless, and every command is there whole and once.
    pub(crate) fn assert_sound(&self) {
        let mut lanes: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (context, events) in &self.0 {
            let mut partitions: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            let mut streams: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for event in events {
                let user = text(event, "subject");
                let lane = lane_of(user);
                partitions
                    .entry(lane)
                    .or_default()
                    .push(number(event, "sequence"));
                lanes
                    .entry(lane)
                    .or_default()
                    .push(number(event, "lanesequence"));
                streams
                    .entry(user)
                    .or_default()
                    .push(number(event, "streamversion"));
            }
            partitions
                .iter()
                .for_each(|(lane, all)| gapless(&format!("{context}/{lane}"), all));
            streams
                .iter()
                .for_each(|(user, all)| gapless(&format!("{context} of {user}"), all));
            each_command_once(context, events);
        }
        for (lane, mut sequences) in lanes {
            // The contexts of a lane are exported one by one.
            sequences.sort_unstable();
            gapless(&format!("lane {lane}"), &sequences);
        }
    }
}

fn gapless(what: &str, numbers: &[u64]) {
    let wrong = numbers.iter().zip(1..).find(|(found, due)| *found != due);
    assert!(
        wrong.is_none(),
        "{what}: found and due are {wrong:?} of {}",
        numbers.len()
    );
}

fn each_command_once(context: &str, events: &[Value]) {
    let mut commands: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for event in events {
        let command = (text(event, "subject"), text(event, "commandid"));
        commands.entry(command).or_default().push(event);
    }
    for (command, events) in commands {
        let parts: BTreeSet<&str> = events.iter().map(|event| part(event)).collect();
        let of = events.len();
        let due: BTreeSet<String> = (1..=of).map(|number| format!("{number}/{of}")).collect();
        let whole = parts.iter().eq(due.iter());
        assert!(
            whole,
            "{context}: command {command:?} has the parts {parts:?} of {of}"
        );
        let hashes: BTreeSet<&str> = events
            .iter()
            .map(|event| text(event, "commandhash"))
            .collect();
        assert_eq!(
            hashes.len(),
            1,
            "{context}: two commands share the id {command:?}"
        );
    }
}

/// The part of its command that an event is; a command of one event need not say so.
fn part(event: &Value) -> &str {
    event["commandpart"].as_str().unwrap_or("1/1")
}

fn text<'a>(event: &'a Value, attribute: &str) -> &'a str {
    event[attribute]
        .as_str()
        .unwrap_or_else(|| panic!("no text {attribute} in {event}"))
}

fn number(event: &Value, attribute: &str) -> u64 {
    let value = &event[attribute];
    let written = || value.as_str().and_then(|digits| digits.parse().ok());
    let number = value.as_u64().or_else(written);
    number.unwrap_or_else(|| panic!("no number {attribute} in {event}"))
}

/// The lane of a user as Kafka's Java clients compute it.
fn lane_of(user: &str) -> u32 {
    (murmur2(user.as_bytes()) & 0x7fff_ffff) % LANES
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ (word >> 24)).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = rest
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[test]
fn lanes_are_those_of_the_java_client() {
    let vectors: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ];
    for (text, hash) in vectors {
        assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
    }
}

#[test]
fn a_gap_a_repeat_and_a_torn_command_are_all_noticed() {
    let unsound = |check: fn()| std::panic::catch_unwind(check).is_err();
    fn event(key: &str, part: &str) -> Value {
        serde_json::json!({
            "subject": "someone", "commandid": key, "commandhash": key, "commandpart": part,
        })
    }
    gapless("a log", &[1, 2, 3]);
    assert!(unsound(|| gapless("a gap", &[1, 3])));
    assert!(unsound(|| gapless("a repeat", &[1, 2, 2])));
    assert!(unsound(|| gapless("a lost start", &[2, 3])));
    each_command_once(
        "whole",
        &[event("a", "1/2"), event("a", "2/2"), event("b", "1/1")],
    );
    assert!(unsound(|| each_command_once("torn", &[event("a", "1/2")])));
    assert!(unsound(|| each_command_once(
        "twice",
        &[event("a", "1/1"), event("a", "1/1")]
    )));
}
