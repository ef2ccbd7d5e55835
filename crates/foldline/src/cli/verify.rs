//! `verify`: a read model against a fresh fold of the log.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{
    client::{Client, NodeArgs, Progress, lines, said},
    replay::models,
};

/// Which read model is verified.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The read model
    #[arg(required_unless_present = "all")]
    model: Option<String>,
    /// Every read model, one after another
    #[arg(long, conflicts_with = "model")]
    all: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) async fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.node)?;
    let mut clean = true;
    for model in models(&client, args.model.as_deref()).await? {
        let report = verify(&client, &model, args.node.json).await?;
        clean &= report["clean"] == true;
        if args.node.json {
            say!("{report}");
        } else {
            print_report(&model, &report);
        }
    }
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn verify(client: &Client, model: &str, json: bool) -> anyhow::Result<Value> {
    let response = client
        .post(&format!("/v1/admin/views/{model}/verify"), &json!({}))
        .await?;
    let mut progress = Progress::new(model, json);
    let mut report = None;
    lines(response, |line| {
        let line: Value = serde_json::from_slice(line)?;
        if let Some(problem) = said(&line) {
            bail!("{model}: {problem}");
        }
        if line.get("clean").is_some() {
            report = Some(line);
        } else {
            let number = |name: &str| line[name].as_u64().unwrap_or(0);
            progress.at(model, number("events_done"), number("events_total"));
        }
        Ok(())
    })
    .await?;
    progress.finish();
    report.ok_or_else(|| anyhow::anyhow!("{model}: the node ended without a report"))
}

fn print_report(model: &str, report: &Value) {
    let counts = format!(
        "{} rows against {} events",
        report["rows"], report["events"]
    );
    if report["clean"] == true {
        say!("{model}: clean, {counts}");
        return;
    }
    say!("{model}: DIFFERS, {counts}");
    for problem in report["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        say!("  {problem}");
    }
    for difference in report["differences"].as_array().into_iter().flatten() {
        say!("  {difference}");
    }
    say!("  `replay {model}` rebuilds it from the log");
}
