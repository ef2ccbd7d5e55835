//! A node of its own for a test, its clients and the tools of the same binary.

use std::{
    fs::File,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use reqwest::{
    Client, RequestBuilder,
    header::{HeaderMap, HeaderName},
};
use serde_json::Value;
use uuid::Uuid;

use crate::place::Place;

pub(crate) const AT_LEAST: &str = "foldline-at-least";

const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// How long a test waits for anything else that must come.
pub(crate) const SOON: Duration = Duration::from_secs(30);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// A running `market dev`; it is killed, not asked, when it goes out of scope.
pub(crate) struct Node {
    pub(crate) url: String,
    client: Client,
    process: Process,
    place: Place,
}

struct Process(Child);

/// How a node or a tool ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    /// What a tool complained of; a node's complaints are among what it printed.
    pub(crate) complained: String,
}

/// An answer of the node.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Null where there is none.
    pub(crate) body: Value,
}

impl Node {
    /// Starts a node that must come to serve.
    pub(crate) async fn start(place: Place) -> Self {
        let started = Self::try_start(place).await;
        started.unwrap_or_else(|ended| panic!("the node did not start: {ended:#?}"))
    }

    /// Starts a node; gives how it ended where it did not come to serve.
    pub(crate) async fn try_start(place: Place) -> Result<Self, Ended> {
        let mut node = Self::spawn(place);
        let ready = until("the node is ready", READY_WITHIN, async || {
            if let Some(status) = node.process.exited() {
                return Ok(Some(status));
            }
            node.find_address();
            match node.client.get(format!("{}/readyz", node.url)).send().await {
                Ok(response) if response.status() == 200 => Ok(None),
                Ok(response) => Err(response.text().await.unwrap_or_default()),
                Err(error) => Err(format!("{error}\n{}", node.output())),
            }
        });
        match ready.await {
            None => Ok(node),
            Some(status) => Err(node.ended(status)),
        }
    }

    fn spawn(place: Place) -> Self {
        let mut command = market(&["dev", "--listen", "127.0.0.1:0", "--data"]);
        command
            .arg(place.data())
            .envs(place.settings().iter().copied());
        if let Some(definitions) = place.own_definitions() {
            command.arg("--projections").arg(definitions);
        }
        let output = File::create(place.output()).expect("a file for the node's output");
        let second = output.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(output).stderr(second);
        let process = Process(command.spawn().expect("the node starts"));
        let client = Client::builder().no_proxy().build();
        Self {
            url: String::new(),
            client: client.expect("an HTTP client"),
            process,
            place,
        }
    }

    /// Waits for the address that the node says it listens on.
    fn find_address(&mut self) {
        let output = self.output();
        let listens = output
            .lines()
            .find_map(|line| line.split_once("listens on"));
        if let Some((_, url)) = listens {
            self.url = url.trim().to_owned();
        }
    }

    /// Interrupts the node as Ctrl-C does, and waits for its end, which must be a good one.
    pub(crate) async fn stop(mut self) -> Place {
        let process = self.process.0.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &process]).status();
        assert!(sent.expect("`kill` is there").success());
        let status = until("the node has ended", ENDED_WITHIN, async || {
            self.process.exited().ok_or_else(|| self.output())
        });
        let status = status.await;
        assert_eq!(status.code(), Some(0), "{}", self.output());
        self.place
    }

    pub(crate) async fn restart(self) -> Self {
        Self::start(self.stop().await).await
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// What the node has printed since it started.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.place.output()).unwrap_or_default()
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        Ended {
            code: status.code(),
            printed: self.output(),
            complained: String::new(),
        }
    }

    /// Sends a command that must be accepted; returns the position of what came of it.
    pub(crate) async fn command(&self, user: Uuid, command: &str, body: Value) -> String {
        let answer = self
            .post(&format!("/v1/users/{user}/{command}"), &body)
            .await;
        assert_eq!(answer.status, 201, "{command}: {answer:#?}");
        answer.header("foldline-position").to_owned()
    }

    /// Asks a query, such as `order/by_id?order_id=…`, which must be answered.
    pub(crate) async fn rows(&self, query: &str, at_least: &str) -> Vec<Value> {
        let answer = self.ask(query, &[(AT_LEAST, at_least)]).await;
        assert_eq!(
            answer.status,
            200,
            "{query}: {answer:#?}\n{}",
            self.output()
        );
        answer.rows().to_vec()
    }

    /// Asks a query with these headers.
    pub(crate) async fn ask(&self, query: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("{}/v1/views/{query}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.url)))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.client.post(format!("{}{path}", self.url)).json(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.client.delete(format!("{}{path}", self.url)))
            .await
    }

    async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await;
        let response = response.unwrap_or_else(|error| panic!("{error:?}\n{}", self.output()));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("an answer has an end");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer {
            status,
            headers,
            body,
        }
    }

    /// What the node counts and measures, as Prometheus reads it.
    pub(crate) async fn metric(&self, name_and_labels: &str) -> Option<f64> {
        let metrics = self.get("/metrics").await.body;
        let mut lines = metrics.as_str().unwrap_or_default().lines();
        let value = lines.find_map(|line| line.strip_prefix(name_and_labels))?;
        value.trim().parse().ok()
    }

    /// What `market views --json` says of one read model.
    pub(crate) fn view(&self, name: &str) -> Value {
        let views = self.tool(&["views", "--json"]).well().json();
        let mut views = views.as_array().expect("a list of views").iter();
        let view = views.find(|view| view["name"] == name);
        view.unwrap_or_else(|| panic!("no view {name}")).clone()
    }

    /// Runs a tool against this node.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ended {
        tool(&[arguments, &["--url", &self.url]].concat())
    }

    /// Rebuilds a read model with `market replay`, which must succeed.
    pub(crate) fn replay(&self, model: &str) {
        self.tool(&["replay", model]).well();
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn rows(&self) -> &[Value] {
        let rows = self.body["rows"].as_array();
        rows.unwrap_or_else(|| panic!("no rows: {self:#?}"))
    }

    pub(crate) fn next(&self) -> Option<&str> {
        self.body["next"].as_str()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.header_if_any(name);
        value.unwrap_or_else(|| panic!("no header {name}: {self:#?}"))
    }

    pub(crate) fn header_if_any(&self, name: &str) -> Option<&str> {
        let name: HeaderName = name.parse().expect("a header's name");
        self.headers.get(name)?.to_str().ok()
    }

    /// Asserts that this is a problem with a stable code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) -> &Value {
        let found = (self.status, self.body["code"].as_str());
        assert_eq!(found, (status, Some(code)), "{self:#?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        &self.body
    }
}

impl Ended {
    /// Asserts that all went well.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Asserts that it ended badly and said so in these words.
    #[track_caller]
    pub(crate) fn assert_failed(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        let said = format!("{}{}", self.printed, self.complained);
        for words in words {
            assert!(said.contains(words), "{words:?} is not in\n{said}");
        }
    }

    /// The last line of what was printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let last = self.printed.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Process {
    fn exited(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a process of ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a tool to its end.
pub(crate) fn tool(arguments: &[&str]) -> Ended {
    let output = market(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the tool runs");
    Ended {
        code: output.status.code(),
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
        complained: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The binary, not started yet, knowing nothing of the environment of these tests.
pub(crate) fn market(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_market"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOLDLINE_") {
            command.env_remove(name);
        }
    }
    command
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
