//! A node of its own for a test, and the tools of the same binary against it.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use crate::log::LANES;
use crate::topics::Topics;

const READY_WITHIN: Duration = Duration::from_secs(60);
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(300);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);
const OUTPUT_SHOWN: usize = 4_000;

/// The contexts of the marketplace.
pub(crate) const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];

/// A running node, a `market dev` for the most part; it is killed, not asked, when it goes out of
/// scope.
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) client: Client,
    child: Child,
    data: PathBuf,
    listen: String,
    output: PathBuf,
}

/// What `market import` says in its last line.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) already_known: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) seconds: f64,
}

impl Summary {
    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        let code = |(code, count): (&String, &Value)| Some((code.clone(), count.as_u64()?));
        Some(Self {
            sent: said["sent"].as_u64()?,
            accepted: said["accepted"].as_u64()?,
            already_known: said["already_known"].as_u64()?,
            refused: said["refused"]
                .as_object()?
                .iter()
                .map(code)
                .collect::<Option<_>>()?,
            seconds: said["seconds"].as_f64()?,
        })
    }
}

impl Node {
    /// A node on this data directory and a free port, ready to serve.
    pub(crate) async fn start(data: &Path) -> Self {
        let mut node = Self::spawn(data, &free_address(), None);
        node.until_ready().await;
        node
    }

    /// A node of one role on a free port, not ready yet, whose log is in these topics; others may
    /// share its data directory.
    pub(crate) fn of_role(role: &str, name: &str, data: &Path, topics: &Topics) -> Self {
        let listen = free_address();
        let mut command = market(&[role, "--listen", &listen, "--data"]);
        command.arg(data);
        if role != "query" {
            command.args(["--kafka", &topics.kafka, "--topic-prefix", &topics.prefix]);
            command.env("FOLDLINE_LOG__LANES", LANES.to_string());
        }
        Self::spawn_as(command, data, &listen, data.with_file_name(name))
    }

    /// Starts again on the same data directory and port.
    pub(crate) async fn restart(mut self) -> Self {
        self.kill();
        let mut node = Self::spawn(&self.data, &self.listen, None);
        node.until_ready().await;
        node
    }

    /// Starts again with a failpoint armed; the node may die at once.
    pub(crate) fn restart_deadly(mut self, failpoint: &str) -> Self {
        self.kill();
        Self::spawn(&self.data, &self.listen, Some(failpoint))
    }

    fn spawn(data: &Path, listen: &str, failpoint: Option<&str>) -> Self {
        let mut command = market(&["dev", "--listen", listen, "--data"]);
        command.arg(data);
        if let Some(failpoint) = failpoint {
            command.env("FAILPOINTS", failpoint);
            // So often that a short import comes by the middle of a snapshot round.
            command.env("FOLDLINE_COMMAND__SNAPSHOT_EVENTS", "50");
        }
        Self::spawn_as(command, data, listen, data.with_extension("output"))
    }

    fn spawn_as(mut command: Command, data: &Path, listen: &str, output: PathBuf) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&output)
            .expect("a file for the node's output");
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file);
        let child = command.spawn().expect("the node starts");
        let client = Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        let url = format!("http://{listen}");
        Self {
            url,
            client,
            child,
            data: data.into(),
            listen: listen.into(),
            output,
        }
    }

    pub(crate) async fn until_ready(&mut self) {
        let url = format!("{}/readyz", self.url);
        until("the node is ready", READY_WITHIN, async || {
            if let Some(status) = self.exited() {
                panic!(
                    "the node ended with {status} before it was ready\n{}",
                    self.output()
                );
            }
            match self.client.get(&url).send().await {
                Ok(response) if response.status() == 200 => Ok(()),
                Ok(response) => Err(format!("{response:?}\n{}", self.output())),
                Err(error) => Err(format!("{error:?}\n{}", self.output())),
            }
        })
        .await;
    }

    /// SIGKILL: nothing in the node has a chance to tidy up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("a process of ours");
    }

    /// How the node ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a process of ours")
    }

    /// The end of what the node has printed since its data directory was made.
    pub(crate) fn output(&self) -> String {
        let bytes = std::fs::read(&self.output).unwrap_or_default();
        let from = bytes.len().saturating_sub(OUTPUT_SHOWN);
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// `market import olist DIR`, to its end.
    pub(crate) fn import(&self, dir: &Path) -> Summary {
        let output = self.importer(dir).output().expect("the importer runs");
        let last = self
            .said(&output, "import")
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        Summary::read(&last).unwrap_or_else(|| panic!("{last:?} is no summary of an import"))
    }

    /// `market import olist DIR`, not started yet.
    pub(crate) fn importer(&self, dir: &Path) -> Command {
        let mut command = market(&["import", "olist"]);
        command.arg(dir).args(["--url", &self.url, "--json"]);
        command
    }

    /// `market verify --all`, which ends well only if every row follows from the log.
    pub(crate) fn assert_verified(&self) {
        self.tool(&["verify", "--all", "--json"]);
    }

    /// What `market views` says of each read model.
    pub(crate) fn views(&self) -> Vec<Value> {
        let said = self.tool(&["views", "--json"]);
        let views: Value = serde_json::from_str(&said).expect("JSON of the views");
        let list = views.get("views").unwrap_or(&views);
        list.as_array()
            .unwrap_or_else(|| panic!("no views in {said}"))
            .clone()
    }

    /// Every event of a context, as `market export` prints them.
    pub(crate) fn export(&self, context: &str) -> Vec<Value> {
        let said = self.tool(&["export", context]);
        let event = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in event {line}"))
        };
        said.lines().map(event).collect()
    }

    /// Runs a tool against this node, which must end well, and gives what it printed.
    pub(crate) fn tool(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the tool runs");
        self.said(&output, &arguments.join(" "))
    }

    /// A tool against this node, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = market(arguments);
        command.args(["--url", &self.url]);
        command
    }

    fn said(&self, output: &Output, what: &str) -> String {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        let (status, shown) = (
            output.status,
            &said[said.len().saturating_sub(OUTPUT_SHOWN)..],
        );
        let node = self.output();
        assert!(
            status.success(),
            "market {what} ended with {status}\n{shown}\n{errors}\nthe node said:\n{node}"
        );
        said
    }

    /// Waits until every read model has absorbed the whole log.
    pub(crate) async fn until_caught_up(&self) {
        let url = format!("{}/v1/admin/views", self.url);
        until("all views have caught up", CAUGHT_UP_WITHIN, async || {
            let response = self
                .client
                .get(&url)
                .send()
                .await
                .expect("the views answer");
            let seen = response.text().await.expect("the views answer");
            if are_caught_up(&seen) {
                Ok(())
            } else {
                Err(format!("{seen}\n{}", self.output()))
            }
        })
        .await;
    }

    /// How many commands the node has answered since it started; none if it does not answer now.
    pub(crate) async fn commands_answered(&self) -> Option<u64> {
        let response = self
            .client
            .get(format!("{}/metrics", self.url))
            .send()
            .await
            .ok()?;
        let text = response.text().await.ok()?;
        let counted = text
            .lines()
            .filter(|line| line.starts_with("foldline_commands_total"));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        Some(counted.filter_map(value).sum::<f64>() as u64)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn market(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_market"));
    command.args(arguments);
    command
}

/// An address that nobody listens on, below the ports that outgoing connections are given: while
/// the node is down, somebody who tries to reach it could else be given its port, and hold it.
fn free_address() -> String {
    let first = 20_000 + std::process::id() % 10_000;
    let addresses = (first..32_000).map(|port| format!("127.0.0.1:{port}"));
    let free = |address: &String| TcpListener::bind(address).is_ok();
    addresses.into_iter().find(free).expect("a free port")
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

fn are_caught_up(said: &str) -> bool {
    let body: Value = serde_json::from_str(said).unwrap_or_default();
    let views = body["views"].as_array().map_or(&[][..], Vec::as_slice);
    !views.is_empty() && views.iter().all(|view| view["events_behind"] == 0)
}
