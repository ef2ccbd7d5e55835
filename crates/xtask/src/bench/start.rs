//! `cargo xtask bench start`: states beyond memory beside all of them in it, and starts after a
//! kill beside a full replay.

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

/// How much there is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How many users have states while commands are counted; 0 leaves that out.
    #[arg(long, default_value_t = 1_000_000)]
    users: u64,
    /// How many users the starts are measured with, 20 events each; 0 leaves that out.
    #[arg(long, default_value_t = 300_000)]
    start_users: u64,
    /// For how long commands are counted, and there is load before each kill.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many callers there are.
    #[arg(long, default_value_t = 256)]
    connections: u32,
}

/// What the measuring program prints last.
#[derive(Deserialize)]
struct Measured {
    all_commands_per_second: Vec<f64>,
    bounded_commands_per_second: Vec<f64>,
    bounded_resident_mib: Vec<f64>,
    full_seconds: Vec<f64>,
    warm_seconds: Vec<f64>,
    cold_seconds: Vec<f64>,
}

/// What a node at the usual bound may have resident.
const RESIDENT_MIB_MAX: f64 = 400.0;

const MEASURES: [Measure; 4] = [
    Measure {
        name: "commands_per_second",
        title: "commands/s",
        digits: 0,
        bound: Some(Bound::AtLeast(0.5)),
    },
    Measure {
        name: "resident_mib",
        title: "resident at most, MiB",
        digits: 0,
        bound: Some(Bound::AtMost(1.0)),
    },
    Measure {
        name: "ready_warm_seconds",
        title: "ready, store warm, s",
        digits: 2,
        bound: Some(Bound::AtMost(0.1)),
    },
    Measure {
        name: "ready_cold_seconds",
        title: "ready, store cold, s",
        digits: 2,
        bound: Some(Bound::AtMost(1.0 / 3.0)),
    },
];

/// Runs the measuring program and publishes the figures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let places = Places::build(&["bench", "market"], &arguments.common)?;
    let mut program = Command::new(places.binary("start")?);
    program
        .arg("--market")
        .arg(places.binary("market")?)
        .arg("--directory")
        .arg(places.bench.join("start"))
        .args(["--users", &arguments.users.to_string()])
        .args(["--start-users", &arguments.start_users.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .args(["--connections", &arguments.connections.to_string()])
        .args(["--runs", &arguments.common.runs.to_string()]);
    let printed = output(&mut program)?;
    let last = printed.lines().last().unwrap_or_default();
    let measured: Measured = serde_json::from_str(last)
        .with_context(|| format!("the measuring program ended with `{last}`"))?;
    let report = report(measured, arguments);
    report.publish(&places.bench, arguments.common.json.as_ref())
}

/// The floor of the rate is a node that has all states in memory, that of the starts one that has
/// nothing but the log; that of the memory is what it is held to.
fn report(measured: Measured, arguments: &Arguments) -> Report {
    let resident = measured.bounded_resident_mib;
    let floor = [
        ("commands_per_second", measured.all_commands_per_second),
        ("resident_mib", vec![RESIDENT_MIB_MAX; resident.len()]),
        ("ready_warm_seconds", measured.full_seconds.clone()),
        ("ready_cold_seconds", measured.full_seconds),
    ];
    let usual = [
        ("commands_per_second", measured.bounded_commands_per_second),
        ("resident_mib", resident),
        ("ready_warm_seconds", measured.warm_seconds),
        ("ready_cold_seconds", measured.cold_seconds),
    ];
    let taken = |runs: [(&'static str, Vec<f64>); 4]| -> Runs {
        runs.into_iter().filter(|(_, it)| !it.is_empty()).collect()
    };
    let (floor, usual) = (taken(floor), taken(usual));
    Report {
        bench: "start",
        settings: json!({
            "command": "orders/place, users at random",
            "users": arguments.users,
            "users_at_starts": arguments.start_users,
            "events_per_user_at_starts": 20,
            "seconds": arguments.seconds,
            "connections": arguments.connections,
            "memory_bytes_max": 256 << 20,
            "runs": arguments.common.runs,
            "profile": arguments.common.profile(),
            "lanes": 8,
            "floor": "all states in memory; the most that may be resident; a full replay",
            "log": "made up, kept in target/bench/start, copied for each side",
        }),
        measures: MEASURES
            .into_iter()
            .filter(|measure| usual.contains_key(measure.name))
            .collect(),
        sides: vec![(FLOOR, floor), ("usual bound", usual)],
        held: "usual bound",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_not_reported() {
        let measured = Measured {
            all_commands_per_second: vec![],
            bounded_commands_per_second: vec![],
            bounded_resident_mib: vec![],
            full_seconds: vec![10.0],
            warm_seconds: vec![0.5],
            cold_seconds: vec![2.0],
        };
        let arguments = Arguments {
            common: Common {
                json: None,
                runs: 1,
                dev: true,
            },
            users: 0,
            start_users: 10,
            seconds: 1,
            connections: 1,
        };
        let report = report(measured, &arguments);
        let names: Vec<_> = report.measures.iter().map(|measure| measure.name).collect();
        assert_eq!(names, ["ready_warm_seconds", "ready_cold_seconds"]);
    }
}
