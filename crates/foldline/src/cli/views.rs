//! `views`: what the read models are doing.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, NodeArgs};

/// How the views are shown.
#[derive(Clone, Debug, Args)]
pub struct ViewsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Drop a generation that does not serve
    #[command(after_help = "Example:\n  market views retire order 1")]
    Retire {
        /// The read model
        model: String,
        /// The generation's number
        generation: u32,
    },
}

pub(super) async fn run(args: ViewsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.node)?;
    if let Some(Action::Retire { model, generation }) = &args.action {
        return retire(&client, model, *generation, args.node.json).await;
    }
    let answer: Value = client.get("/v1/admin/views").await?.json().await?;
    let views = answer["views"].as_array().cloned().unwrap_or_default();
    if args.node.json {
        say!("{}", Value::Array(views));
        return Ok(ExitCode::SUCCESS);
    }
    print_table(&rows(&views));
    for view in &views {
        print_troubles(view);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a read model, and whom it holds back.
fn print_troubles(view: &Value) {
    let name = text(&view["name"]);
    if let Some(trouble) = view["trouble"].as_str() {
        say!("{name}: {trouble}");
    }
    for generation in view["generations"].as_array().into_iter().flatten() {
        let number = text(&generation["number"]);
        if let Some(trouble) = generation["trouble"].as_str() {
            say!("{name} generation {number}: {trouble}");
        }
        for stopped in generation["stopped_lanes"].as_array().into_iter().flatten() {
            let (lane, reason) = (text(&stopped["lane"]), text(&stopped["reason"]));
            say!("{name} generation {number}: lane {lane} has stopped: {reason}");
        }
    }
    for parked in view["parked"].as_array().into_iter().flatten() {
        say!(
            "{name}: user {} held back from {} on: {}",
            text(&parked["user"]),
            text(&parked["position"]),
            text(&parked["reason"]),
        );
    }
}

async fn retire(
    client: &Client,
    model: &str,
    generation: u32,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/admin/views/{model}/generations/{generation}");
    let answer: Value = client.delete(&path).await?.json().await?;
    if json {
        say!("{answer}");
    } else {
        say!("{model}: generation {generation} is gone");
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(views: &[Value]) -> Vec<Vec<String>> {
    let head = [
        "view",
        "generation",
        "state",
        "doing",
        "rows",
        "behind",
        "lag s",
        "parked",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for view in views {
        for generation in view["generations"].as_array().into_iter().flatten() {
            rows.push(vec![
                text(&view["name"]),
                text(&generation["number"]),
                text(&generation["state"]),
                text(&generation["status"]),
                text(&generation["rows"]),
                text(&generation["events_behind"]),
                generation["lag_seconds"]
                    .as_f64()
                    .map_or_else(|| "unknown".to_owned(), |s| format!("{s:.1}")),
                generation["parked"]
                    .as_array()
                    .map_or(0, Vec::len)
                    .to_string(),
            ]);
        }
    }
    rows
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Prints columns that are as wide as they need to be; numbers to the right.
fn print_table(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            if cell.parse::<f64>().is_ok() {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        say!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
