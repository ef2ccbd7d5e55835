//! How the tools talk to a running node.

use std::io::IsTerminal;

use anyhow::{Context as _, bail};
use futures::StreamExt;
use serde_json::Value;

use super::BearerArgs;

/// The environment variable that names the node.
const URL_VARIABLE: &str = "FOLDLINE_URL";

/// Where the node is.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    /// The node's address
    #[arg(long, env = URL_VARIABLE, default_value = "http://127.0.0.1:7373", global = true)]
    pub url: String,
    /// Print JSON, for machines
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    bearer: BearerArgs,
}

/// A node, over HTTP.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(args: &NodeArgs) -> anyhow::Result<Self> {
        let url = args.url.trim_end_matches('/').to_owned();
        let client = reqwest::Client::builder().default_headers(args.bearer.headers()?);
        let http = client.build().context("an HTTP client")?;
        Ok(Self { http, url })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        self.send(self.http.get(format!("{}{path}", self.url)))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<reqwest::Response> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        self.send(self.http.delete(format!("{}{path}", self.url)))
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                anyhow::anyhow!(
                    "no node answers at {}: start one with `cargo run --release`, or name another \
                     with `--url`",
                    self.url
                )
            } else {
                anyhow::Error::new(error)
                    .context(format!("the node at {} did not answer", self.url))
            }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let problem: Value = response.json().await.unwrap_or_default();
        bail!(
            "{}",
            said(&problem).unwrap_or_else(|| format!("the node answered {status}"))
        )
    }
}

/// What a problem says, with its way out.
pub(crate) fn said(problem: &Value) -> Option<String> {
    let mut text = problem["detail"].as_str()?.to_owned();
    if let Some(errors) = problem["errors"].as_array() {
        for error in errors.iter().filter_map(Value::as_str) {
            text.push_str(&format!("\n{error}"));
        }
    }
    if let Some(way_out) = problem["way_out"].as_str() {
        text.push_str(&format!("\n  {way_out}"));
    }
    Some(text)
}

/// Calls `each` with every JSON line of an answer, as it comes in.
pub(crate) async fn lines(
    response: reqwest::Response,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut stream = response.bytes_stream();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.context("the node's answer broke off")?;
        rest.extend_from_slice(&chunk);
        let mut begin = 0;
        while let Some(length) = rest[begin..].iter().position(|byte| *byte == b'\n') {
            each(&rest[begin..begin + length])?;
            begin += length + 1;
        }
        rest.drain(..begin);
    }
    anyhow::ensure!(rest.is_empty(), "the node's answer broke off");
    Ok(())
}

/// Progress of something long: a bar on a terminal, a plain line now and then elsewhere.
pub(crate) struct Progress {
    bar: indicatif::ProgressBar,
    plain: bool,
    last: std::time::Instant,
}

/// How often a plain line is printed.
const PLAIN_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

impl Progress {
    pub(crate) fn new(what: &str, json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !json;
        let bar = if terminal {
            indicatif::ProgressBar::new(0)
        } else {
            indicatif::ProgressBar::hidden()
        };
        let template = "{msg:14} {bar:32} {human_pos}/{human_len} events  {per_sec}  {eta} left";
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self {
            bar,
            plain: !terminal && !json,
            last: std::time::Instant::now(),
        }
    }

    pub(crate) fn at(&mut self, phase: &str, done: u64, total: u64) {
        self.bar.set_message(phase.to_owned());
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.plain && self.last.elapsed() >= PLAIN_EVERY {
            self.last = std::time::Instant::now();
            eprintln!("{phase}: {done} of {total} events");
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
