//! `cargo xtask bench replay`: a rebuild of three read models beside inserting their finished rows.

use std::process::Command;

use anyhow::{Context, Result};
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

/// What the measuring program prints last.
#[derive(Deserialize)]
struct Measured {
    events: u64,
    models: Vec<MeasuredModel>,
}

/// One read model: what fed it, and the seconds of each run of each side.
#[derive(Deserialize)]
struct MeasuredModel {
    name: String,
    events: u64,
    rows: u64,
    floor_seconds: Vec<f64>,
    rebuild_seconds: Vec<f64>,
}

/// The rate of all three together is what the promise is about.
const TOGETHER: Measure = Measure {
    name: "events_per_second",
    title: "all three, events/s",
    digits: 0,
    bound: Some(Bound::AtLeast(0.5)),
};
/// Each read model, by its name.
const EACH: [(&str, Measure); 3] = [
    (
        "orders_by_user",
        Measure {
            name: "orders_by_user_events_per_second",
            title: "orders_by_user, events/s",
            digits: 0,
            bound: None,
        },
    ),
    (
        "seller_sales",
        Measure {
            name: "seller_sales_events_per_second",
            title: "seller_sales, events/s",
            digits: 0,
            bound: None,
        },
    ),
    (
        "order",
        Measure {
            name: "order_events_per_second",
            title: "order, events/s",
            digits: 0,
            bound: None,
        },
    ),
];

/// Runs the measuring program and publishes the figures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let places = Places::build(&["bench"], &arguments.common)?;
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
    report(&measured, &arguments.common)?.publish(&places.bench, arguments.common.json.as_ref())
}

fn report(measured: &Measured, common: &Common) -> Result<Report> {
    let sides = [
        (FLOOR, rates(measured, |model| &model.floor_seconds)?),
        ("rebuild", rates(measured, |model| &model.rebuild_seconds)?),
    ];
    let models = measured
        .models
        .iter()
        .map(|model| json!({ "name": model.name, "events": model.events, "rows": model.rows }));
    Ok(Report {
        bench: "replay",
        settings: json!({
            "events": measured.events,
            "read_models": models.collect::<Vec<_>>(),
            "runs": common.runs,
            "profile": common.profile(),
            "lanes": 8,
            "log": "made up, kept in target/bench/replay",
        }),
        measures: [TOGETHER]
            .into_iter()
            .chain(EACH.map(|(_, it)| it))
            .collect(),
        sides: sides.into(),
        held: "rebuild",
    })
}

/// From seconds to events per second: of each read model the events that feed it; of all three
/// together the events of the log.
fn rates(measured: &Measured, seconds: fn(&MeasuredModel) -> &Vec<f64>) -> Result<Runs> {
    let mut rates = Runs::new();
    let mut together: Vec<f64> = Vec::new();
    for (name, measure) in EACH {
        let mut models = measured.models.iter();
        let model = models.find(|model| model.name == name);
        let model = model.with_context(|| format!("`{name}` was not measured"))?;
        let runs = seconds(model);
        together.resize(runs.len(), 0.0);
        together
            .iter_mut()
            .zip(runs)
            .for_each(|(sum, it)| *sum += it);
        let of_model = runs.iter().map(|seconds| model.events as f64 / seconds);
        rates.insert(measure.name, of_model.collect());
    }
    let of_log = together
        .iter()
        .map(|seconds| measured.events as f64 / seconds);
    rates.insert(TOGETHER.name, of_log.collect());
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_together_take_the_sum_of_their_times() {
        let model = |name: &str, events| MeasuredModel {
            name: name.to_owned(),
            events,
            rows: 1,
            floor_seconds: vec![1.0, 2.0],
            rebuild_seconds: vec![2.0, 4.0],
        };
        let measured = Measured {
            events: 60,
            models: vec![
                model("orders_by_user", 40),
                model("seller_sales", 40),
                model("order", 60),
            ],
        };
        let floor = rates(&measured, |model| &model.floor_seconds).unwrap();
        assert_eq!(floor["events_per_second"], [20.0, 10.0]);
        assert_eq!(floor["orders_by_user_events_per_second"], [40.0, 20.0]);
        let common = Common {
            json: None,
            runs: 2,
            dev: true,
        };
        assert_eq!(report(&measured, &common).unwrap().sides.len(), 2);
    }
}
