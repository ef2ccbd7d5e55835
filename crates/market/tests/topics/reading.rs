//! Every event that the marketplace has appended, read with clients that are not ours.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    node::{LANES, Node, Process, json, printed, tool},
    programs::{kcat, python, well},
    schemas::{self, Published},
    topics::{Record, Topics},
};

const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];

#[tokio::test]
async fn others_read_what_was_appended_and_it_is_what_is_published() {
    let topics = Topics::unique();
    let node = Node::start(&topics).await;
    well(&mut node.demo(60, 1), "");
    let exported: HashMap<&str, Vec<String>> = CONTEXTS
        .into_iter()
        .map(|context| (context, node.export(context)))
        .collect();
    let an_order: Value = serde_json::from_str(&exported["orders"][0]).expect("an event");
    topics.abort("orders", 3, &never_happened(&an_order));

    let records = topics.read("read_committed", &CONTEXTS);
    let published = Published::read();
    for record in &records {
        assert_event(&topics, &published, record);
    }
    assert_exported(&topics, &exported, &records);
    let last = last_sequences(&records);
    assert_partitions(&topics, &records);
    assert_told(&topics, &records, &last);

    let all = topics.read("read_uncommitted", &["orders"]);
    let seen = |records: &[Record]| records.iter().any(|record| record.key == "nobody");
    assert!(seen(&all), "the aborted record is in the topic");
    assert!(!seen(&records), "it is no event");

    assert_kcat(&topics, &exported);
    assert_samples(&topics, &exported["orders"]);
}

/// An event that an aborted transaction leaves in the topic.
fn never_happened(event: &Value) -> Value {
    let mut event = event.clone();
    event["id"] = json!("00000000-0000-7000-8000-000000000000");
    event["sequence"] = json!("0000000000009999");
    event
}

/// Asserts that a record is an event as `schemas/` and CloudEvents have it.
fn assert_event(topics: &Topics, published: &Published, record: &Record) {
    let value: Value = serde_json::from_str(&record.value).expect("a value is JSON");
    let name = value["type"].as_str().expect("a type");
    let data = &published.data[name];
    if let Err(error) = data.validate(&value["data"]) {
        panic!("{error}: {record:#?}");
    }
    let [payload, headers] = &published.messages[name];
    for (validator, part) in [(payload, &value), (headers, &record.headers)] {
        if let Err(error) = validator.validate(part) {
            panic!("{error}: {record:#?}");
        }
    }
    let expected = json!({
        "content-type": "application/cloudevents+json; charset=utf-8",
        "ce_type": name,
        "ce_id": value["id"],
    });
    assert_eq!(record.headers, expected, "{record:#?}");
    assert_eq!(value["subject"], *record.key, "{record:#?}");
    assert_eq!(value["dataschema"], schemas::read(name)["$id"]);
    let context = record.topic.strip_prefix(&topics.prefix);
    let context = context.expect("a topic of this log");
    assert_eq!(value["source"], format!("/market/{context}"));

    // What the CloudEvents SDK has found, after its own checks.
    for attribute in [
        "specversion",
        "id",
        "type",
        "source",
        "subject",
        "datacontenttype",
        "dataschema",
        "sequence",
        "data",
    ] {
        assert_eq!(record.event[attribute], value[attribute], "{attribute}");
    }
    let time: jiff::Timestamp = value["time"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time of RFC 3339");
    let found = record.event["time"].as_f64().expect("seconds");
    assert!((found - time.as_microsecond() as f64 / 1e6).abs() < 1e-5);
}

/// Asserts that the topics hold what the node exports, byte for byte, and nothing else.
fn assert_exported(topics: &Topics, exported: &HashMap<&str, Vec<String>>, records: &[Record]) {
    for context in CONTEXTS {
        let of_context = |record: &&Record| record.topic == topics.name(context);
        let read = records.iter().filter(of_context);
        let read: BTreeSet<_> = read.map(|record| record.value.as_str()).collect();
        let expected: BTreeSet<_> = exported[context].iter().map(String::as_str).collect();
        assert!(!expected.is_empty(), "the demo has events in {context}");
        assert_eq!(read, expected, "{context}");
    }
    let sum: usize = exported.values().map(Vec::len).sum();
    assert_eq!(records.len(), sum);
}

/// Asserts that sequences have no gaps, and returns the last of each partition.
fn last_sequences(records: &[Record]) -> BTreeMap<(&str, u16), u64> {
    let mut last = BTreeMap::new();
    let mut versions = HashMap::new();
    for record in records {
        let value: Value = serde_json::from_str(&record.value).expect("JSON");
        let sequence = value["sequence"].as_str().expect("a text");
        assert_eq!(sequence.len(), 16);
        let last = last.entry((record.topic.as_str(), record.partition));
        let last: &mut u64 = last.or_default();
        *last += 1;
        assert_eq!(sequence.parse(), Ok(*last), "{record:#?}");
        // A user's events are in order too.
        let version = versions.entry((&record.topic, &record.key));
        let version: &mut u64 = version.or_default();
        *version += 1;
        assert_eq!(value["streamversion"], *version, "{record:#?}");
    }
    last
}

/// Asserts that keys are where the Java clients' partitioner puts them, as librdkafka has it.
fn assert_partitions(topics: &Topics, records: &[Record]) {
    let keys: BTreeSet<_> = records.iter().map(|record| record.key.as_str()).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    assert!(keys.len() > 60, "{} users", keys.len());
    let partitions = topics.partitions_of(&keys, LANES);
    for record in records {
        assert_eq!(partitions[&record.key], record.partition, "{record:#?}");
    }
    let used: BTreeSet<_> = records.iter().map(|record| record.partition).collect();
    assert_eq!(used.len(), usize::from(LANES), "every lane is used");
}

/// Asserts that `market topics` knows how far the topics reach, in positions.
fn assert_told(topics: &Topics, records: &[Record], last: &BTreeMap<(&str, u16), u64>) {
    let of_log = ["--kafka", &topics.kafka, "--topic-prefix", &topics.prefix];
    let said = json(&tool(&[&["topics", "--json"], &of_log[..]].concat()), 0);
    assert_eq!(said["log"]["troubles"], json!([]), "{said:#}");
    for topic in said["topics"].as_array().expect("topics") {
        let name = topic["name"].as_str().expect("a name");
        let context = topic["context"].as_str().expect("a context");
        assert_eq!(topic["partitions"], LANES);
        assert_eq!(topic["found"]["trouble"], Value::Null, "{topic:#}");
        let events = records.iter().filter(|record| record.topic == name);
        assert_eq!(topic["found"]["events"], events.count(), "{topic:#}");
        let ends = (0..LANES).filter_map(|partition| {
            let last = last.get(&(name, partition))?;
            Some(json!(format!("{context}/{partition}@{last}")))
        });
        assert_eq!(topic["found"]["ends"], ends.collect::<Value>(), "{topic:#}");
    }
    let said = printed(&tool(&[&["topics", "orders"], &of_log[..]].concat()), 0);
    assert!(said.contains("as it should be"), "{said}");
    let (_, last) = last
        .iter()
        .find(|((topic, partition), _)| *topic == topics.name("orders") && *partition == 3)
        .expect("events in orders/3");
    assert!(said.contains(&format!(" orders/3@{last}")), "{said}");
}

/// Asserts that kcat reads the same.
fn assert_kcat(topics: &Topics, exported: &HashMap<&str, Vec<String>>) {
    for (context, exported) in exported {
        let mut kcat = kcat();
        kcat.args(["-C", "-q", "-e", "-o", "beginning", "-f", "%k %s\\n"])
            .args(["-X", "isolation.level=read_committed"])
            .args(["-b", &topics.kafka, "-t", &topics.name(context)]);
        let printed = well(&mut kcat, "");
        let read: BTreeSet<_> = printed.lines().collect();
        let expected: BTreeSet<_> = exported.iter().map(|event| keyed(event)).collect();
        assert!(
            read.iter().copied().eq(expected.iter().map(String::as_str)),
            "{context}: kcat read {} events of {}",
            read.len(),
            expected.len()
        );
    }
}

fn keyed(event: &str) -> String {
    let value: Value = serde_json::from_str(event).expect("an event");
    format!("{} {event}", value["subject"].as_str().expect("a subject"))
}

/// Asserts that what is printed to be copied does what it says.
fn assert_samples(topics: &Topics, orders: &[String]) {
    let of_log = ["--kafka", &topics.kafka, "--topic-prefix", &topics.prefix];
    let said = json(
        &tool(&[&["topics", "orders", "--json"], &of_log[..]].concat()),
        0,
    );
    let samples = said["samples"].as_array().expect("samples").iter();
    let samples: HashMap<_, _> = samples
        .map(|sample| (&sample["client"], sample["text"].as_str().expect("a text")))
        .map(|(client, text)| (client.as_str().expect("a name"), text))
        .collect();

    let read = well(Command::new("sh").args(["-c", samples["kcat"]]), "");
    assert_eq!(read.lines().count(), orders.len());

    let mut following = python();
    following.args(["-c", samples["Python, confluent-kafka"]]);
    let following = following.stdout(Stdio::piped()).spawn();
    let mut following = Process(following.expect("Python starts"));
    let printed = following.0.stdout.take().expect("a pipe was asked for");
    // It follows for ever; once it has printed every order, it has shown what it can do.
    let lines = BufReader::new(printed).lines().take(orders.len());
    for line in lines {
        let line = line.expect("text");
        assert!(line.starts_with("order."), "{line}");
    }
}
