//! `cargo xtask bench replay`: a rebuild of three read models beside inserting their finished rows.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::{
    Common, Places,
    figures::{Bound, Measure},
    report::{FLOOR, Report, Runs},
};
use crate::workspace::output;

/// How much is rebuilt.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How many events the made-up log has; it is kept for the next time.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
}

/// What the measuring program prints last: seconds per run and side.
#[derive(Deserialize)]
struct Measured {
    events: u64,
    rows: u64,
    floor_seconds: Vec<f64>,
    rebuild_seconds: Vec<f64>,
}

/// Runs the measuring program and publishes the figures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let places = Places::build(&["bench"])?;
    let mut program = Command::new(places.binary("replay")?);
    program
        .arg("--directory")
        .arg(places.bench.join("replay"))
        .args(["--events", &arguments.events.to_string()])
        .args(["--runs", &arguments.common.runs.to_string()]);
    let printed = output(&mut program)?;
    let last = printed.lines().last().unwrap_or_default();
    let measured: Measured = serde_json::from_str(last)
        .with_context(|| format!("the measuring program ended with `{last}`"))?;
    ensure!(
        measured.events == arguments.events,
        "{} events were rebuilt",
        measured.events
    );
    let rates = |seconds: &[f64]| {
        let rates = seconds
            .iter()
            .map(|seconds| measured.events as f64 / seconds);
        Runs::from([("events_per_second", rates.collect())])
    };
    let report = Report {
        bench: "replay",
        settings: json!({
            "read_models": ["orders_by_user", "seller_sales", "order"],
            "events": measured.events,
            "rows": measured.rows,
            "runs": arguments.common.runs,
            "lanes": 8,
            "log": "made up, kept in target/bench/replay",
        }),
        measures: vec![Measure {
            name: "events_per_second",
            title: "events/s",
            digits: 0,
            bound: Some(Bound::AtLeast(0.5)),
        }],
        sides: vec![
            (FLOOR, rates(&measured.floor_seconds)),
            ("rebuild", rates(&measured.rebuild_seconds)),
        ],
        held: "rebuild",
    };
    report.publish(&places.bench, arguments.common.json.as_ref())
}
