//! Two processes that keep the read models of one log up, on real Kafka and on shared tables: they
//! share the lanes, one takes over from one that is killed under load, and the rows are what the
//! log says.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    collections::BTreeSet,
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

const LANES: u16 = 8;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A process that is killed is missed after the session's timeout; then the others join again.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(120);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A log of its own on Kafka.
struct Log {
    kafka: String,
    prefix: String,
}

impl Log {
    fn unique() -> Self {
        let kafka = std::env::var("FOLDLINE_TEST_KAFKA").unwrap_or_else(|_| {
            panic!(
                "FOLDLINE_TEST_KAFKA does not say where Kafka is: \
                 `export $(cargo xtask services up kafka)` starts one and says it"
            )
        });
        let prefix = format!("test-{}.", Uuid::new_v4().simple());
        Self { kafka, prefix }
    }
}

/// A process of the marketplace; it is killed, not asked, when it goes out of scope.
struct Node {
    url: String,
    process: Process,
    output: std::path::PathBuf,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Node {
    /// Starts a node of a role, with its data in a directory that others may share.
    async fn start(log: &Log, role: &str, name: &str, directory: &Path) -> Self {
        let path = directory.join(name);
        let output = File::create(&path).unwrap();
        let mut command = market(&[role, "--listen", "127.0.0.1:0"]);
        command
            .args(["--kafka", &log.kafka, "--topic-prefix", &log.prefix])
            .arg("--data")
            .arg(directory.join("data"))
            .env("FOLDLINE_LOG__LANES", LANES.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let mut node = Self {
            url: String::new(),
            process: Process(command.spawn().expect("the node starts")),
            output: path,
        };
        until("the node listens", READY_WITHIN, async || {
            let output = node.printed();
            let ended = node.process.0.try_wait().unwrap();
            assert!(ended.is_none(), "the node ended: {ended:?}\n{output}");
            let mut lines = output.lines();
            let url = lines.find_map(|line| line.split_once("listens on"));
            let (_, url) = url.ok_or(output.clone())?;
            url.trim().clone_into(&mut node.url);
            Ok(())
        })
        .await;
        node
    }

    async fn until_ready(&self) {
        until("the node is ready", READY_WITHIN, async || {
            match self.get("/readyz").await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}\n{}", self.printed())),
            }
        })
        .await;
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client.get(format!("{}{path}", self.url)).send().await;
        let answer = sent.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        Ok((
            status,
            answer.text().await.map_err(|error| error.to_string())?,
        ))
    }

    async fn views(&self) -> Result<Vec<Value>, String> {
        let (_, text) = self.get("/v1/admin/views").await?;
        let body: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(body["views"].as_array().cloned().unwrap_or_default())
    }

    /// The lanes that it follows of every read model's serving generation: the same for all.
    async fn lanes(&self) -> Result<BTreeSet<u64>, String> {
        let mut all: Option<BTreeSet<u64>> = None;
        for view in self.views().await? {
            let generations = view["generations"].as_array().cloned().unwrap_or_default();
            let serving = generations.iter().find(|it| it["state"] == "serving");
            let serving = serving.ok_or(format!("{} does not serve", view["name"]))?;
            let lanes = serving["lanes"].as_array().into_iter().flatten();
            let lanes = lanes.filter_map(Value::as_u64).collect();
            match &all {
                Some(known) if *known != lanes => {
                    return Err(format!("{}: {lanes:?} and {known:?}", view["name"]));
                }
                _ => all = Some(lanes),
            }
        }
        all.ok_or("no read models".into())
    }

    async fn until_caught_up(&self) {
        until("the views have caught up", CAUGHT_UP_WITHIN, async || {
            let views = self.views().await?;
            let behind = |view: &&Value| view["events_behind"] != 0 || view["rows"].is_null();
            match views.iter().find(behind) {
                Some(view) => Err(format!("{view:#}\n{}", self.printed())),
                None if views.is_empty() => Err("no read models".into()),
                None => Ok(()),
            }
        })
        .await;
    }

    /// `market demo` with a crowd of its own for each seed.
    fn demo(&self, users: u32, seed: u32) -> Process {
        let mut command = market(&["demo", "--json", "--url", &self.url]);
        command.args(["--users", &users.to_string(), "--seed", &seed.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Process(command.spawn().expect("the demo starts"))
    }

    /// Runs a tool on it, which must end well.
    fn tool(&self, arguments: &[&str]) {
        let output = market(arguments).args(["--url", &self.url]).output();
        let output = output.expect("the tool runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {printed}\n{complained}\n{}",
            self.printed()
        );
    }

    /// Tells it to stop, as a service manager does, and waits until it has.
    fn stop(mut self) {
        let pid = self.process.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
        let ended = self.process.0.wait().unwrap();
        assert!(ended.success(), "{ended:?}\n{}", self.printed());
    }
}

/// Waits until these follow all lanes between them, none of them twice, and each as many.
async fn until_shared(nodes: &[&Node]) {
    until("the lanes are shared", TAKEN_OVER_WITHIN, async || {
        let mut shares = Vec::new();
        for node in nodes {
            shares.push(node.lanes().await?);
        }
        let all: BTreeSet<u64> = shares.iter().flatten().copied().collect();
        let each = usize::from(LANES) / nodes.len();
        match all.len() == usize::from(LANES) && shares.iter().all(|it| it.len() == each) {
            true => Ok(()),
            false => Err(format!("{shares:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn one_takes_over_from_one_that_is_killed_and_the_rows_are_what_the_log_says() {
    let (log, directory) = (Log::unique(), TempDir::new().unwrap());
    let shared = directory.path().join("shared");
    let commands = directory.path().join("commands");
    for path in [&shared, &commands] {
        std::fs::create_dir(path).unwrap();
    }
    let command = Node::start(&log, "command", "command", &commands).await;
    command.until_ready().await;
    let first = Node::start(&log, "projector", "first", &shared).await;
    let second = Node::start(&log, "projector", "second", &shared).await;
    for node in [&first, &second] {
        node.until_ready().await;
    }
    until_shared(&[&first, &second]).await;

    let mut demo = command.demo(400, 1);
    until("some rows are there", CAUGHT_UP_WITHIN, async || {
        let views = second.views().await?;
        let rows = |view: &Value| view["rows"].as_u64().is_some_and(|rows| rows > 20);
        match views.iter().filter(|view| rows(view)).count() {
            0 | 1 => Err(format!("{views:#?}")),
            _ => Ok(()),
        }
    })
    .await;
    // No grace: what it had in memory is lost, and what it was committing may be.
    drop(first);
    let killed = Instant::now();
    until_shared(&[&second]).await;
    println!("taken over after {:?}", killed.elapsed());
    assert!(demo.0.wait().unwrap().success());
    second.until_caught_up().await;
    second.tool(&["verify", "--all"]);

    // Another one joins, under load; a replay is asked of it and built by both.
    let third = Node::start(&log, "projector", "third", &shared).await;
    let mut demo = command.demo(200, 2);
    until_shared(&[&second, &third]).await;
    third.until_ready().await;
    third.tool(&["replay", "seller_sales"]);
    assert!(demo.0.wait().unwrap().success());
    for node in [&second, &third] {
        node.until_caught_up().await;
    }
    third.tool(&["verify", "--all"]);
    let clock = Instant::now();
    second.stop();
    println!("left after {:?}", clock.elapsed());
    until_shared(&[&third]).await;
    third.until_caught_up().await;
    for view in third.views().await.unwrap() {
        assert!(view["parked"].as_array().unwrap().is_empty(), "{view:#}");
    }
    third.tool(&["verify", "--all"]);
}

/// The binary, not started yet, knowing nothing of the environment of these tests, in a
/// directory without a configuration file.
fn market(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_market"));
    command.args(arguments).current_dir(std::env::temp_dir());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOLDLINE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Looks again and again until something holds, within a bound.
async fn until(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<(), String>) {
    let deadline = Instant::now() + within;
    let mut turns = tokio::time::interval(LOOK_AGAIN_AFTER);
    loop {
        turns.tick().await;
        match look().await {
            Ok(()) => return,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "not within {within:?}: {what}\n{seen}"
            ),
        }
    }
}
