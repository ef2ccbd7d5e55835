//! Command nodes on one log, and what is done to them.

use std::{
    fs::File,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use tempfile::TempDir;

use crate::topics::Topics;

/// How many lanes the log of a test has.
pub(crate) const LANES: u16 = 8;
/// How many nodes share them.
pub(crate) const NODES: usize = 3;
/// How long a node may say nothing before its lanes are given to others.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a transaction may take.
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(8);

const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDED_WITHIN: Duration = Duration::from_secs(40);
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Nodes that share the lanes of one log; all of them are gone when it goes out of scope.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    client: Client,
    // Last: the topics go after those who write them.
    _topics: Topics,
}

/// One `market command`.
pub(crate) struct Node {
    pub(crate) url: String,
    directory: TempDir,
    kafka: String,
    prefix: String,
    process: Option<Child>,
}

impl Cluster {
    /// Starts the nodes, and waits until each has lanes.
    pub(crate) async fn start() -> Self {
        let topics = Topics::unique();
        let client = Client::builder().no_proxy().timeout(ANSWERED_WITHIN);
        let nodes = free_addresses().map(|address| Node::new(&topics, address));
        let mut cluster = Self {
            nodes: nodes.take(NODES).collect(),
            client: client.build().expect("an HTTP client"),
            _topics: topics,
        };
        for number in 0..NODES {
            cluster.nodes[number].start();
            if number == 0 {
                // It makes the topics.
                cluster.until_ready(number).await;
            }
        }
        for number in 0..NODES {
            cluster.until_it_has_lanes(number).await;
        }
        cluster
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    pub(crate) async fn until_ready(&self, number: usize) {
        let what = format!("node {number} is ready");
        until(&what, READY_WITHIN, async || {
            let (status, said) = self.get(number, "readyz").await?;
            (status == 200).then_some(()).ok_or(said)
        })
        .await;
    }

    /// Waits until a node is ready and serves lanes.
    pub(crate) async fn until_it_has_lanes(&self, number: usize) {
        self.until_ready(number).await;
        let what = format!("node {number} has lanes");
        until(&what, READY_WITHIN, async || {
            match self.metric(number, "foldline_lanes_owned").await? {
                0.0 => Err("none".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
    }

    /// Waits until a figure of a node is at least this.
    pub(crate) async fn until_at_least(&self, number: usize, metric: &str, least: f64) {
        let what = format!("{metric} of node {number} is {least}");
        until(&what, READY_WITHIN, async || {
            let found = self.metric(number, metric).await?;
            (found >= least).then_some(()).ok_or(found.to_string())
        })
        .await;
    }

    async fn metric(&self, number: usize, metric: &str) -> Result<f64, String> {
        let (_, metrics) = self.get(number, "metrics").await?;
        let value = |line: &str| line.strip_prefix(metric)?.trim().parse().ok();
        let found = metrics.lines().find_map(value);
        found.ok_or_else(|| format!("no {metric} in {metrics}"))
    }

    async fn get(&self, number: usize, path: &str) -> Result<(u16, String), String> {
        let node = &self.nodes[number];
        let trouble = |error: reqwest::Error| format!("{error:?}\n{}", node.output());
        let answer = self.client.get(format!("{}/{path}", node.url)).send().await;
        let answer = answer.map_err(trouble)?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(trouble)?))
    }

    /// Every event of a context, as `market export` prints them.
    pub(crate) fn export(&self, context: &str) -> Vec<serde_json::Value> {
        let mut command = market(&["export", context, "--url", &self.nodes[0].url]);
        let output = command.output().expect("the tool runs");
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).expect("text");
        let events = printed.lines().map(serde_json::from_str);
        events.collect::<Result<_, _>>().expect("events as JSON")
    }
}

impl Node {
    fn new(topics: &Topics, address: String) -> Self {
        Self {
            url: format!("http://{address}"),
            directory: TempDir::new().expect("a directory for a test"),
            kafka: topics.kafka.clone(),
            prefix: topics.prefix.clone(),
            process: None,
        }
    }

    pub(crate) fn start(&mut self) {
        let output = File::options()
            .create(true)
            .append(true)
            .open(self.output_file())
            .expect("a file for the node's output");
        let listen = self.url.strip_prefix("http://").expect("its address");
        let millis = |time: Duration| time.as_millis().to_string();
        let mut command = market(&["command", "--listen", listen]);
        command
            .args(["--kafka", &self.kafka, "--topic-prefix", &self.prefix])
            .arg("--data")
            .arg(self.directory.path().join("data"))
            .env("FOLDLINE_LOG__LANES", LANES.to_string())
            .env(
                "FOLDLINE_LOG__KAFKA__SESSION_TIMEOUT_MS",
                millis(SESSION_TIMEOUT),
            )
            .env(
                "FOLDLINE_LOG__KAFKA__TRANSACTION_TIMEOUT_MS",
                millis(TRANSACTION_TIMEOUT),
            )
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        self.process = Some(command.spawn().expect("the node starts"));
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        let mut kill = Command::new("kill");
        kill.args([&format!("-{name}"), &process.id().to_string()]);
        assert!(kill.status().expect("kill runs").success(), "{name}");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let mut process = self.process.take().expect("it runs");
        let output = self.output_file();
        until("the node has stopped", ENDED_WITHIN, async || {
            let ended = process.try_wait().expect("a process of ours");
            ended.ok_or_else(|| std::fs::read_to_string(&output).unwrap_or_default())
        })
        .await
    }

    /// SIGKILL: nothing in the node has a chance to tidy up.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself; either way it is gone afterwards.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn output_file(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    /// What the node has printed.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.output_file()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} printed:\n{}", self.url, self.output());
        }
        self.kill();
    }
}

/// The binary, not started yet, knowing nothing of the environment of these tests.
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

/// Addresses that nobody listens on, below the ports that outgoing connections are given: a node
/// that is restarted comes back to its own.
fn free_addresses() -> impl Iterator<Item = String> {
    let first = 22_000 + std::process::id() % 8_000;
    let addresses = (first..32_000).map(|port| format!("127.0.0.1:{port}"));
    addresses.filter(|address| TcpListener::bind(address).is_ok())
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
