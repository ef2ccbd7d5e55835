//! What must hold of a log after anything that happened to it.

use std::collections::HashMap;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::{load::Answer, node::Node};

const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];
/// How many lanes an embedded log has unless it was told otherwise.
const LANES: usize = 8;
/// How many repeats are sent at a time.
const REPEATS_AT_ONCE: usize = 32;

/// Holds the log against what callers were told; every broken promise is one sentence.
pub(crate) async fn losses(node: &Node, told: &[Answer]) -> Vec<String> {
    let mut losses = Vec::new();
    let mut stored = HashMap::new();
    for context in CONTEXTS {
        let events = export(node, context).await;
        losses.extend(gaps(context, &events));
        stored.extend(events.into_iter().map(|event| (text(&event, "id"), event)));
    }
    losses.extend(told.iter().flat_map(|answer| missing(answer, &stored)));
    losses
}

/// The events of a context, as the node exports them.
pub(crate) async fn export(node: &Node, context: &str) -> Vec<Value> {
    let (status, lines) = node.get(&format!("/v1/admin/export/{context}")).await;
    assert_eq!(status, 200, "{lines}");
    let event = |line| serde_json::from_str(line).expect("an event is JSON");
    lines.lines().map(event).collect()
}

/// A gap, or a step back, in the sequences of a context or the versions of a user.
fn gaps(context: &str, events: &[Value]) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut versions: HashMap<String, u64> = HashMap::new();
    let (mut last, mut partitions) = (0, 0);
    for event in events {
        let sequence = number(event, "sequence");
        // Partitions are exported one after another; each begins at 1.
        partitions += usize::from(sequence == 1);
        if sequence != 1 && sequence != last + 1 {
            gaps.push(format!("{context}: sequence {sequence} comes after {last}"));
        }
        last = sequence;
        let version = versions.entry(text(event, "subject")).or_default();
        *version += 1;
        if number(event, "streamversion") != *version {
            gaps.push(format!("{context}: not version {version}: {event}"));
        }
    }
    if partitions > LANES {
        gaps.push(format!(
            "{context}: {partitions} partitions of {LANES} begin"
        ));
    }
    gaps
}

/// What an answer promised and the log does not hold.
fn missing(answer: &Answer, stored: &HashMap<String, Value>) -> Option<String> {
    let position = answer.position();
    let (_, sequence) = position.rsplit_once('@')?;
    let holds = answer.events().iter().all(|id| {
        stored.get(id).is_some_and(|event| {
            text(event, "commandid") == answer.command.key
                && number(event, "sequence").to_string() == sequence
                && text(event, "subject") == answer.command.user.to_string()
        })
    });
    (!holds).then(|| format!("answered with 201 and not in the log: {answer:?}"))
}

/// Sends commands again, byte for byte: each gets its first answer.
pub(crate) async fn assert_repeats(node: &Node, told: &[Answer]) {
    for some in told.chunks(REPEATS_AT_ONCE) {
        let mut repeats = JoinSet::new();
        for first in some.iter().cloned() {
            let (client, url) = (node.client.clone(), node.url.clone());
            repeats.spawn(async move {
                let again = first.command.clone().send(&client, &url).await;
                let again = again.expect("the node answers");
                assert_eq!((again.status, &again.body), (201, &first.body), "{first:?}");
                assert!(again.replayed, "{again:?}");
            });
        }
        repeats.join_all().await;
    }
}

/// Everything at once, for tests that allow no loss.
pub(crate) async fn assert_whole(node: &Node, told: &[Answer]) {
    let losses = losses(node, told).await;
    let first: Vec<_> = losses.iter().take(5).collect();
    assert!(
        losses.is_empty(),
        "{} losses: {first:#?}\n{}",
        losses.len(),
        node.output()
    );
    assert_repeats(node, told).await;
}

fn text(event: &Value, attribute: &str) -> String {
    event[attribute].as_str().unwrap_or_default().to_owned()
}

fn number(event: &Value, attribute: &str) -> u64 {
    let value = &event[attribute];
    let written = || value.as_str()?.parse().ok();
    value
        .as_u64()
        .or_else(written)
        .unwrap_or_else(|| panic!("no {attribute} in {event}"))
}
