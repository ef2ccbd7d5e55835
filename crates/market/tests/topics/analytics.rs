//! The example of an analytics program: killed again and again, it still counts each event once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    node::{Node, Process, until},
    programs::{python, run, well},
    topics::Topics,
};

const SOON: Duration = Duration::from_secs(60);

/// `examples/analytics/revenue.py`, with its results in a directory of the test.
struct Example {
    directory: TempDir,
    kafka: String,
    topic: String,
}

impl Example {
    fn new(topics: &Topics, topic: String) -> Self {
        Self {
            directory: TempDir::new().expect("a directory for a test"),
            kafka: topics.kafka.clone(),
            topic,
        }
    }

    fn results(&self) -> PathBuf {
        self.directory.path().join("revenue.sqlite")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script = "../../examples/analytics/revenue.py";
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let mut command = python();
        command
            .arg(script)
            .args(["--kafka", &self.kafka, "--topic", &self.topic])
            .arg("--results")
            .arg(self.results())
            .args(arguments);
        command
    }

    /// Starts it to follow in small steps; SIGKILL follows when this goes out of scope.
    fn follow(&self) -> Process {
        let mut command = self.command(&["--follow", "--batch", "3"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Process(command.spawn().expect("Python starts"))
    }

    /// Waits until more than so many events are counted, and gives how many they are.
    async fn until_counted(&self, more_than: u64, process: &mut Process) -> u64 {
        until("events are counted", SOON, async || {
            let ended = process.0.try_wait().expect("a process of ours");
            assert!(ended.is_none(), "it ended: {ended:?}");
            match self.counted().await {
                Ok(counted) if counted > more_than => Ok(counted),
                seen => Err(format!("{seen:?}, not more than {more_than}")),
            }
        })
        .await
    }

    async fn counted(&self) -> Result<u64, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(self.results());
        let mut results = SqliteConnection::connect_with(&options.read_only(true)).await?;
        let sum = "SELECT coalesce(sum(sequence), 0) FROM place";
        let sum: i64 = sqlx::query_scalar(sum).fetch_one(&mut results).await?;
        results.close().await?;
        Ok(sum.unsigned_abs())
    }

    /// Lets it count up to the end, and gives what it prints.
    fn summary(&self) -> Value {
        let printed = well(&mut self.command(&["--json"]), "");
        serde_json::from_str(&printed).expect("JSON")
    }
}

#[tokio::test]
async fn killed_half_way_and_started_again_it_counts_each_event_once() {
    let topics = Topics::unique();
    let node = Node::start(&topics).await;
    well(&mut node.demo(80, 1), "");
    let first = node.export("orders").len() as u64;
    let example = Example::new(&topics, topics.name("orders"));

    // Killed while it catches up.
    let mut following = example.follow();
    let killed_at = example.until_counted(first / 3, &mut following).await;
    drop(following);

    // Killed while it follows what comes.
    let mut demo = node.demo(80, 2);
    let demo = demo.stdout(Stdio::null()).spawn();
    let mut demo = Process(demo.expect("the demo starts"));
    let mut following = example.follow();
    let again_at = example.until_counted(first + 5, &mut following).await;
    drop(following);
    assert!(demo.0.wait().expect("a process of ours").success());

    let orders = node.export("orders");
    let events = orders.len() as u64;
    assert!(killed_at < again_at && again_at <= events);
    let expected = json!({ "revenue": revenue(&orders), "events": events, "skipped": {} });
    assert_eq!(example.summary(), expected);
    assert_eq!(example.summary(), expected, "nothing is counted twice");
    let days = expected["revenue"].as_array().expect("days").len();
    assert!(days > 3, "the demo is dated back over some days: {days}");

    let table = well(&mut example.command(&[]), "");
    let day = &expected["revenue"][0];
    assert!(
        table.contains(day["day"].as_str().expect("a day")),
        "{table}"
    );
    assert!(table.starts_with("day "), "{table}");
}

/// What the events come to, counted from all of them at once.
fn revenue(orders: &[String]) -> Value {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut placed = BTreeMap::new();
    let mut days: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    for order in orders {
        let event: Value = serde_json::from_str(order).expect("an event");
        let data = &event["data"];
        let id = (text(&event["subject"]), text(&data["order_id"]));
        let (day, sign, cents) = match event["type"].as_str() {
            Some("order.placed.v1") => {
                let day = (
                    text(&data["placed_at"])[..10].into(),
                    text(&data["currency"]),
                );
                let cents = data["total_cents"].as_i64().expect("cents");
                placed.insert(id, (day.clone(), cents));
                (day, 1, cents)
            }
            Some("order.cancelled.v1" | "order.marked-unavailable.v1") => {
                let (day, cents) = placed.remove(&id).expect("it was placed");
                (day, -1, cents)
            }
            _ => continue,
        };
        let of_day = days.entry(day).or_default();
        of_day.0 += sign;
        of_day.1 += sign * cents;
    }
    let row = |((day, currency), (orders, cents))| json!({ "day": day, "currency": currency, "orders": orders, "cents": cents });
    days.into_iter().map(row).collect()
}

#[test]
fn a_topic_that_is_damaged_stops_it_and_what_it_does_not_know_is_skipped_with_a_count() {
    let topics = Topics::unique();
    for (last, said) in [
        (4, "a gap, event 4 comes after 2"),
        (2, "a repeat, event 2 comes after 2"),
        (1, "a step back, event 1 comes after 2"),
    ] {
        let topic = topics.name(&format!("damaged-{last}"));
        topics.write(&topic, &[event(1), event(2), event(last)]);
        let example = Example::new(&topics, topic.clone());
        let output = run(&mut example.command(&["--json"]), "");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            complained.contains(&format!("{topic}/0: {said}")),
            "{complained}"
        );
    }
    let topic = topics.name("newer");
    topics.write(&topic, &[event(1), event(2), event(3)]);
    let example = Example::new(&topics, topic);
    let expected = json!({ "revenue": [], "events": 3, "skipped": { "order.gifted.v1": 3 } });
    assert_eq!(example.summary(), expected);
    let table = well(&mut example.command(&[]), "");
    assert!(
        table.contains("skipped 3 of the type order.gifted.v1"),
        "{table}"
    );
}

/// An event of a type that nobody knows.
fn event(sequence: u64) -> Value {
    json!({
        "specversion": "1.0",
        "type": "order.gifted.v1",
        "subject": "0115e600-0000-4000-8000-000000000001",
        "sequence": format!("{sequence:016}"),
        "data": {},
    })
}
