//! The marketplace on Kafka, as a process of its own, and the tools of the same binary.

use std::{
    fs::File,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::topics::Topics;

const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// How many lanes the log of a test gets.
pub(crate) const LANES: u16 = 8;

/// A running `market dev --kafka`; it is killed, not asked, when it goes out of scope.
pub(crate) struct Node {
    url: String,
    process: Process,
    directory: TempDir,
}

/// A process that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Node {
    /// Starts a node with its log in these topics, which must come to serve.
    pub(crate) async fn start(topics: &Topics) -> Self {
        let directory = TempDir::new().expect("a directory for a test");
        let output = File::create(directory.path().join("output")).expect("a file");
        let mut command = market(&["dev", "--listen", "127.0.0.1:0"]);
        command
            .args(["--kafka", &topics.kafka, "--topic-prefix", &topics.prefix])
            .arg("--data")
            .arg(directory.path().join("data"))
            .env("FOLDLINE_LOG__LANES", LANES.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        let mut node = Self {
            url: String::new(),
            process: Process(command.spawn().expect("the node starts")),
            directory,
        };
        node.until_ready().await;
        node
    }

    async fn until_ready(&mut self) {
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.expect("an HTTP client");
        until("the node is ready", READY_WITHIN, async || {
            let output = self.output();
            let ended = self.process.0.try_wait().expect("a process of ours");
            assert!(ended.is_none(), "the node ended: {ended:?}\n{output}");
            let mut lines = output.lines();
            let url = lines.find_map(|line| line.split_once("listens on"));
            let Some((_, url)) = url else {
                return Err(output);
            };
            url.trim().clone_into(&mut self.url);
            match client.get(format!("{}/readyz", self.url)).send().await {
                Ok(response) if response.status() == 200 => Ok(()),
                Ok(response) => Err(response.text().await.unwrap_or_default()),
                Err(error) => Err(format!("{error}\n{output}")),
            }
        })
        .await;
    }

    /// What the node has printed.
    fn output(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("output")).unwrap_or_default()
    }

    /// `market demo` with a crowd of its own for each seed, not started yet.
    pub(crate) fn demo(&self, users: u32, seed: u32) -> Command {
        let mut command = market(&["demo", "--json", "--url", &self.url]);
        command.args(["--users", &users.to_string(), "--seed", &seed.to_string()]);
        command
    }

    /// Every event of a context, as `market export` prints them.
    pub(crate) fn export(&self, context: &str) -> Vec<String> {
        let output = market(&["export", context, "--url", &self.url]).output();
        let output = output.expect("the tool runs");
        assert!(output.status.success(), "{output:?}\n{}", self.output());
        let printed = String::from_utf8(output.stdout).expect("text");
        printed.lines().map(str::to_owned).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary, not started yet, knowing nothing of the environment of these tests, in a
/// directory without a configuration file.
pub(crate) fn market(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_market"));
    command.args(arguments).current_dir(std::env::temp_dir());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOLDLINE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a tool to its end.
pub(crate) fn tool(arguments: &[&str]) -> Output {
    let output = market(arguments).stdin(Stdio::null()).output();
    output.expect("the tool runs")
}

/// What a tool printed, which must have ended with this code.
#[track_caller]
pub(crate) fn printed(output: &Output, code: i32) -> String {
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{output:?}\n{complained}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What a tool printed, as JSON.
#[track_caller]
pub(crate) fn json(output: &Output, code: i32) -> Value {
    serde_json::from_str(&printed(output, code)).expect("JSON")
}

/// Looks again and again until something holds, within a bound; gives what was found.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + within;
    let mut turns = tokio::time::interval(LOOK_AGAIN_AFTER);
    loop {
        turns.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "not within {within:?}: {what}\n{seen}"
            ),
        }
    }
}
