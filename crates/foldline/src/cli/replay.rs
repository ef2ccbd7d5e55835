//! `replay`: rebuild a read model and switch to it.

use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, NodeArgs, Progress, lines, said};

/// Which read model is rebuilt.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The read model
    #[arg(required_unless_present = "all")]
    model: Option<String>,
    /// Every read model, one after another
    #[arg(long, conflicts_with = "model")]
    all: bool,
    /// Go back to the generation that served before, as it is now
    #[arg(long, conflicts_with = "all")]
    rollback: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) async fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.node)?;
    if args.rollback {
        return roll_back(&client, &args).await;
    }
    for model in models(&client, args.model.as_deref()).await? {
        let done = replay(&client, &model, args.node.json).await?;
        if args.node.json {
            say!("{done}");
        } else {
            say!(
                "{model}: generation {} serves, {} events in {:.1} s",
                done["generation"],
                done["events"],
                done["seconds"].as_f64().unwrap_or(0.0),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The read models asked for: one, or all there are.
pub(super) async fn models(client: &Client, one: Option<&str>) -> anyhow::Result<Vec<String>> {
    if let Some(model) = one {
        return Ok(vec![model.to_owned()]);
    }
    let answer: Value = client.get("/v1/admin/views").await?.json().await?;
    let names = answer["views"].as_array().into_iter().flatten();
    let names: Vec<_> = names
        .filter_map(|view| view["name"].as_str().map(str::to_owned))
        .collect();
    ensure!(!names.is_empty(), "the node has no read models");
    Ok(names)
}

async fn replay(client: &Client, model: &str, json: bool) -> anyhow::Result<Value> {
    let response = client
        .post(&format!("/v1/admin/views/{model}/replay"), &json!({}))
        .await?;
    let mut progress = Progress::new(model, json);
    let mut done = None;
    lines(response, |line| {
        let line: Value = serde_json::from_slice(line)?;
        if let Some(problem) = said(&line) {
            bail!("{model}: {problem}");
        }
        if let Some(estimate) = line.get("estimate") {
            match json {
                true => say!("{line}"),
                false => say!("{model}: {}", ahead(estimate)),
            }
        }
        if line["phase"] == "switched" {
            done = Some(line);
        } else {
            let number = |name: &str| line[name].as_u64().unwrap_or(0);
            let phase = line["phase"].as_str().unwrap_or(model);
            progress.at(phase, number("events_done"), number("events_total"));
        }
        Ok(())
    })
    .await?;
    progress.finish();
    done.ok_or_else(|| anyhow::anyhow!("{model}: the node ended the replay without a result"))
}

/// What a replay has before it, as far as that is known.
fn ahead(estimate: &Value) -> String {
    let mut ahead = match estimate["events"].as_u64() {
        Some(events) => format!("{events} events to read"),
        None => "how many events there are is not known now".to_owned(),
    };
    if let Some(serving) = estimate["serving"].as_u64() {
        ahead.push_str(&format!("; generation {serving} serves"));
    }
    if let Some(rows) = estimate["rows"].as_u64() {
        ahead.push_str(&format!(", with {rows} rows"));
    }
    if let Some(bytes) = estimate["bytes"].as_f64() {
        ahead.push_str(&format!(" in {:.1} MB", bytes / 1e6));
    }
    ahead
}

async fn roll_back(client: &Client, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let model = args.model.as_deref().unwrap_or_default();
    let path = format!("/v1/admin/views/{model}/rollback");
    let answer: Value = client.post(&path, &json!({})).await?.json().await?;
    if args.node.json {
        say!("{answer}");
    } else {
        say!("{model}: generation {} serves", answer["generation"]);
    }
    Ok(ExitCode::SUCCESS)
}
