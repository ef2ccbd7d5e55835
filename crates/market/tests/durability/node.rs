//! A node of its own for a test.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;
use tempfile::NamedTempFile;

const READY_WITHIN: Duration = Duration::from_secs(30);
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// How a node is started, up to its data directory.
const SERVE: &[&str] = &["dev", "--listen", "127.0.0.1:0", "--data"];

/// A running `market dev`; it is killed, not asked, when it goes out of scope.
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) client: Client,
    child: Child,
    output: NamedTempFile,
}

/// A node that ended instead of serving.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

impl Node {
    /// A node on this data directory, ready to serve.
    pub(crate) async fn start(data: &Path) -> Self {
        Self::try_start(data)
            .await
            .unwrap_or_else(|ended| panic!("the node did not start: {ended:?}"))
    }

    /// The same for a start that may fail.
    pub(crate) async fn try_start(data: &Path) -> Result<Self, Ended> {
        let mut node = Self::spawn(data, &[]);
        node.until_ready().await?;
        Ok(node)
    }

    /// A node with variables in its environment, which may not serve yet, nor have an address.
    pub(crate) fn spawn(data: &Path, set: &[(&str, &Path)]) -> Self {
        let mut market = market(SERVE);
        market.envs(set.iter().copied());
        Self::launch(market, data)
    }

    /// A node none of whose files may have more blocks; writes beyond them fail.
    pub(crate) fn spawn_limited(data: &Path, file_blocks_max: u32) -> Self {
        let limited = format!("trap '' XFSZ; ulimit -f {file_blocks_max}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(limited)
            .arg(env!("CARGO_BIN_EXE_market"))
            .args(SERVE);
        Self::launch(shell, data)
    }

    fn launch(mut command: Command, data: &Path) -> Self {
        let output = NamedTempFile::new().expect("a file for the node's output");
        let file = output.reopen().expect("a second handle");
        let child = command
            .arg(data)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a third handle"))
            .stderr(file)
            .spawn()
            .expect("the node starts");
        let client = Client::builder().no_proxy().build();
        Self {
            url: String::new(),
            client: client.expect("an HTTP client"),
            child,
            output,
        }
    }

    /// Waits until the node says that it is ready.
    pub(crate) async fn until_ready(&mut self) -> Result<(), Ended> {
        self.until_ok("/readyz").await
    }

    /// Waits until the node answers, ready or not.
    pub(crate) async fn until_alive(&mut self) {
        let alive = self.until_ok("/healthz").await;
        alive.unwrap_or_else(|ended| panic!("the node did not start: {ended:?}"));
    }

    async fn until_ok(&mut self, path: &str) -> Result<(), Ended> {
        until(&format!("{path} answers 200"), READY_WITHIN, async || {
            if let Some(status) = self.exited() {
                return Ok(Err(self.ended(status)));
            }
            self.find_address();
            match self.client.get(format!("{}{path}", self.url)).send().await {
                Ok(response) if response.status() == 200 => Ok(Ok(())),
                Ok(response) => Err(response.text().await.unwrap_or_default()),
                Err(error) => Err(format!("{error}\n{}", self.output())),
            }
        })
        .await
    }

    /// Waits until the node has ended by itself.
    pub(crate) async fn until_ended(&mut self, within: Duration) -> Ended {
        let status = until("the node has ended", within, async || {
            self.exited().ok_or_else(|| self.output())
        });
        let status = status.await;
        self.ended(status)
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        Ended {
            code: status.code(),
            output: self.output(),
        }
    }

    fn find_address(&mut self) {
        let output = self.output();
        let listens = output
            .lines()
            .find_map(|line| line.split_once("listens on"));
        if let Some((_, url)) = listens {
            self.url = url.trim().to_owned();
        }
    }

    /// What the node answers at a path: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await;
        let response = response.unwrap_or_else(|error| panic!("{error:?}\n{}", self.output()));
        let status = response.status().as_u16();
        (status, response.text().await.unwrap_or_default())
    }

    /// SIGKILL: nothing in the node has a chance to tidy up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("a process of ours");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.expect("`kill` is there").success());
    }

    /// Stops the node as an operator would, and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM");
        let ended = self.until_ended(Duration::from_secs(20)).await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a process of ours")
    }

    /// What the node has printed.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.output.path()).unwrap_or_default()
    }

    /// Waits until every read model has absorbed the whole log.
    pub(crate) async fn until_caught_up(&self) {
        until("the views have caught up", CAUGHT_UP_WITHIN, async || {
            let (_, said) = self.get("/v1/admin/views").await;
            let views: Value = serde_json::from_str(&said).unwrap_or_default();
            let views = views["views"].as_array().map_or(&[][..], Vec::as_slice);
            let behind = |view: &Value| view["events_behind"] != 0;
            let caught_up = !views.is_empty() && !views.iter().any(behind);
            caught_up.then_some(()).ok_or(said)
        })
        .await;
    }

    /// `market verify --all`, which ends well only if every row follows from the log.
    pub(crate) fn assert_verified(&self) {
        let verify = market(&["verify", "--all", "--json", "--url", &self.url]).output();
        let verify = verify.expect("the tool runs");
        let said = String::from_utf8_lossy(&verify.stdout);
        let errors = String::from_utf8_lossy(&verify.stderr);
        assert!(
            verify.status.success(),
            "{said}\n{errors}\n{}",
            self.output()
        );
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
