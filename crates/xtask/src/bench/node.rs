//! A server that is measured: started on a port of its own, and always ended.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long a server may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long the views may take to catch up after the load.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(600);
/// How often a server is asked while it is waited for.
const ASKED_EVERY: Duration = Duration::from_millis(20);
/// How long a server may take to answer such a question.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A running server; it ends with this value.
pub(super) struct Node {
    process: Child,
    /// Where it listens, such as `http://127.0.0.1:41234`.
    url: String,
    printed: PathBuf,
}

impl Node {
    /// Starts `program arguments --data directory/data --listen …` and waits until it is ready.
    ///
    /// What it prints goes to a file in the directory, and is shown if it does not start.
    pub(super) fn start(program: &Path, arguments: &[&str], directory: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("no port is free")?
            .port();
        let address = format!("127.0.0.1:{port}");
        let printed = directory.join("printed.txt");
        let file = File::create(&printed)?;
        let process = Command::new(program)
            .args(arguments)
            .arg("--data")
            .arg(directory.join("data"))
            .args(["--listen", &address])
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut node = Self {
            process,
            url: format!("http://{address}"),
            printed,
        };
        node.wait_until_ready()?;
        Ok(node)
    }

    /// Returns the address a client uses.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until every view has absorbed all there is, and returns how long that took.
    pub(super) fn wait_until_caught_up(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let mut behind = Vec::new();
        while began.elapsed() < CAUGHT_UP_WITHIN {
            self.check_alive()?;
            behind = events_behind(&self.get("/v1/admin/views")?)?;
            if behind.iter().all(|&events| events == 0) {
                return Ok(began.elapsed());
            }
            std::thread::sleep(ASKED_EVERY);
        }
        bail!("after {CAUGHT_UP_WITHIN:?} the views are still {behind:?} events behind")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            self.check_alive()?;
            if self.get("/readyz").is_ok() {
                return Ok(());
            }
            std::thread::sleep(ASKED_EVERY);
        }
        bail!(
            "not ready after {READY_WITHIN:?}; it printed:\n{}",
            self.tail()
        )
    }

    fn check_alive(&mut self) -> Result<()> {
        let ended: Option<ExitStatus> = self.process.try_wait()?;
        match ended {
            Some(status) => bail!(
                "the server ended with {status}; it printed:\n{}",
                self.tail()
            ),
            None => Ok(()),
        }
    }

    fn get(&self, path: &str) -> Result<String> {
        let answer = ureq::get(format!("{}{path}", self.url))
            .config()
            .timeout_global(Some(ANSWERED_WITHIN))
            .build()
            .call()?;
        Ok(answer.into_body().read_to_string()?)
    }

    /// The last lines it printed.
    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.printed).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Node {
    /// Its data goes with the run, so there is nothing to end gracefully.
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads `{"views":[{"events_behind":n,…},…]}`.
fn events_behind(answer: &str) -> Result<Vec<u64>> {
    let answer: Value = serde_json::from_str(answer).context("the list of views is no JSON")?;
    let views = answer["views"]
        .as_array()
        .context("the list of views has no `views`")?;
    let behind = views.iter().map(|view| view["events_behind"].as_u64());
    behind
        .collect::<Option<_>>()
        .context("a view has no `events_behind`")
}

#[cfg(test)]
mod tests {
    use super::events_behind;

    #[test]
    fn views_say_how_far_behind_they_are() {
        let answer = r#"{"views":[{"name":"order","events_behind":3},{"events_behind":0}]}"#;
        assert_eq!(events_behind(answer).unwrap(), [3, 0]);
        for bad in ["", "{}", r#"{"views":[{}]}"#] {
            assert!(events_behind(bad).is_err());
        }
    }
}
