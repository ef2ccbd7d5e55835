//! No 201 before its sync: what the node asked of the system, in the order in which it did.

use std::{collections::HashMap, fs, time::Duration};

use crate::{
    disk::{Disk, entries},
    load::{Answer, Load, Person, accepted},
    node::until,
};

const ONE_BY_ONE: usize = 300;
const TOGETHER: u64 = 2_000;
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn no_command_is_answered_before_its_events_are_synced() {
    let _alone = crate::alone().await;
    let disk = Disk::new();
    let (alone, together) = send(&disk).await;
    let trace = Trace::of(&disk);

    let told: Vec<_> = alone.iter().chain(&together).cloned().collect();
    assert_eq!(
        trace.answers(),
        told.len(),
        "every answer of 201 is in the trace"
    );
    assert_eq!(trace.early(&told), [""; 0]);
    // Where one caller waits for each answer, the journal is still between sync and answer: the
    // end of the batch, without which its events would not count, is synced with them.
    let restless = trace.restless(&alone);
    assert_eq!(restless, [""; 0]);
}

/// The test above could fail: where nothing is synced, each answer comes too early.
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_sync_are_found_out() {
    let _alone = crate::alone().await;
    let disk = Disk::lying();
    let (alone, together) = send(&disk).await;
    let told: Vec<_> = alone.iter().chain(&together).cloned().collect();
    let early = Trace::of(&disk).early(&told);
    assert_eq!(early.len(), told.len(), "{:?}", early.first());
}

/// What one caller was told command by command, and what many were told together.
async fn send(disk: &Disk) -> (Vec<Answer>, Vec<Answer>) {
    let node = disk.start().await;
    let mut alone = Vec::new();
    let mut person = Person::new(1);
    for _ in 0..ONE_BY_ONE {
        let answer = person.next().send(&node.client, &node.url).await;
        let answer = answer.expect("the node answers");
        assert_eq!(answer.status, 201, "{answer:?}");
        alone.push(answer);
    }
    let load = Load::start(&node);
    until(
        "enough commands are accepted",
        ACCEPTED_WITHIN,
        async || {
            let accepted = load.accepted();
            (accepted >= TOGETHER)
                .then_some(())
                .ok_or_else(|| format!("{accepted}"))
        },
    )
    .await;
    let together = accepted(load.end().await);
    // So that every answer has reached its caller, and the journals are as they were written.
    node.stop().await;
    (alone, together)
}

/// The trace of a node, and where each event lies in its journals.
struct Trace {
    lines: Vec<String>,
    /// By the event's id: the journal, and where its bytes end in it.
    events: HashMap<String, (String, u64)>,
}

/// How far a journal has been written and synced.
#[derive(Clone, Copy, Default)]
struct Journal {
    written: u64,
    synced: u64,
}

impl Trace {
    fn of(disk: &Disk) -> Self {
        let text = fs::read_to_string(disk.trace()).expect("a trace");
        let mut events = HashMap::new();
        for path in entries(&disk.data().join("log/store")) {
            if path.extension().is_some_and(|extension| extension == "jnl") {
                let path = path.to_str().expect("our names are text");
                find_events(path, &mut events);
            }
        }
        Self {
            lines: text.lines().map(str::to_owned).collect(),
            events,
        }
    }

    /// The number of answers of 201.
    fn answers(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| line.starts_with("answer "))
            .count()
    }

    /// Answers that went out before each of their events was written and synced.
    fn early(&self, told: &[Answer]) -> Vec<String> {
        self.at_answers(told, |answer, journals| {
            let durable = answer.events().iter().all(|id| {
                let (journal, end) = self.events.get(id).expect("the event is in a journal");
                journals
                    .get(journal)
                    .is_some_and(|journal| journal.synced >= *end)
            });
            !durable
        })
    }

    /// Answers that went out while a journal held something that was not synced.
    fn restless(&self, told: &[Answer]) -> Vec<String> {
        self.at_answers(told, |_, journals| {
            journals
                .values()
                .any(|journal| journal.synced < journal.written)
        })
    }

    /// Goes through the trace, and collects the answers for which something holds.
    fn at_answers(
        &self,
        told: &[Answer],
        holds: impl Fn(&Answer, &HashMap<String, Journal>) -> bool,
    ) -> Vec<String> {
        let told: HashMap<_, _> = told
            .iter()
            .map(|answer| (answer.position(), answer))
            .collect();
        let mut journals = HashMap::new();
        let mut found = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            let Some((what, rest)) = line.split_once(' ') else {
                panic!("line {number} of the trace: {line}");
            };
            match what {
                "answer" => {
                    if let Some(answer) = told.get(rest)
                        && holds(answer, &journals)
                    {
                        found.push(format!("line {number}: {line}"));
                    }
                }
                _ => step(&mut journals, what, rest),
            }
        }
        found
    }
}

/// Follows the journals through a write or a sync.
fn step(journals: &mut HashMap<String, Journal>, what: &str, rest: &str) {
    let mut words = rest.rsplitn(if what == "write" { 3 } else { 1 }, ' ');
    let numbers: Vec<u64> = match what {
        "write" => words
            .by_ref()
            .take(2)
            .map(|word| word.parse().expect("a number"))
            .collect(),
        _ => Vec::new(),
    };
    let path = words.next().unwrap_or_default();
    // The journal of the local store of states is derived, and nobody waits for it.
    if !path.ends_with(".jnl") || !path.contains("/log/store/") {
        return;
    }
    let journal = journals.entry(path.to_owned()).or_default();
    match numbers[..] {
        [bytes, offset] => {
            // Only so does a sync up to a place cover everything before it.
            assert_eq!(
                offset, journal.written,
                "{path} is written from one end to the other"
            );
            journal.written += bytes;
        }
        _ => journal.synced = journal.written,
    }
}

/// Finds where the events of a journal end.
fn find_events(path: &str, events: &mut HashMap<String, (String, u64)>) {
    const BEGINNING: &[u8] = br#"{"specversion":"1.0","id":""#;
    let bytes = fs::read(path).expect("a journal");
    let mut from = 0;
    while let Some(at) = bytes[from..]
        .windows(BEGINNING.len())
        .position(|some| some == BEGINNING)
    {
        let start = from + at;
        let mut event = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter();
        let said: serde_json::Value = event.next().expect("an event").expect("an event is JSON");
        let end = start + event.byte_offset();
        let id = said["id"].as_str().expect("an id").to_owned();
        events.insert(id, (path.to_owned(), end as u64));
        from = end;
    }
}
