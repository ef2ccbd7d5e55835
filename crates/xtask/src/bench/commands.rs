//! `cargo xtask bench commands`: commands over HTTP beside one durable append per request.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    Common, Places,
    figures::{Bound, Measure},
    load::{Load, require_wrk},
    node::Node,
    report::{FLOOR, Report, Runs},
};

/// How the load is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Measures on Kafka; the floor is one produced record per request.
    #[arg(long)]
    kafka: bool,
    /// How many callers there are.
    #[arg(long, default_value_t = 256)]
    pub(super) connections: u32,
    /// For how long each run is measured.
    #[arg(long, default_value_t = 10)]
    pub(super) seconds: u64,
    /// For how long there is load before; its answers are looked at one by one.
    #[arg(long, default_value_t = 3)]
    pub(super) warm_up_seconds: u64,
    /// For how long one caller alone is measured.
    #[arg(long, default_value_t = 5)]
    pub(super) alone_seconds: u64,
}

/// A server under load.
struct Side {
    name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
    /// Whether read models follow the log in the same process.
    has_views: bool,
}

const MEASURES: [Measure; 5] = [
    Measure {
        name: "commands_per_second",
        title: "commands/s",
        digits: 0,
        bound: Some(Bound::AtLeast(0.8)),
    },
    Measure {
        name: "p50_us",
        title: "p50, µs",
        digits: 0,
        bound: None,
    },
    Measure {
        name: "p99_us",
        title: "p99, µs",
        digits: 0,
        bound: Some(Bound::AtMost(1.5)),
    },
    Measure {
        name: "alone_p50_us",
        title: "one caller alone, p50, µs",
        digits: 0,
        bound: Some(Bound::AtMost(1.5)),
    },
    Measure {
        name: "caught_up_after_seconds",
        title: "views caught up after, s",
        digits: 2,
        bound: None,
    },
];

/// Runs the sides in turns and publishes the figures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.kafka {
        return super::kafka::run(arguments);
    }
    require_wrk()?;
    let places = Places::build(&["market", "bench"], &arguments.common)?;
    let sides = sides(&places)?;
    let mut runs = vec![Runs::new(); sides.len()];
    for run in 1..=arguments.common.runs {
        for (side, runs) in sides.iter().zip(&mut runs) {
            side.run(arguments, &places, runs)
                .with_context(|| format!("run {run} of {}", side.name))?;
            let last = |name| runs[name].last().copied().unwrap_or_default();
            println!(
                "run {run} of {}: {:<14} {:>8.0} commands/s, p99 {:>6.0} µs",
                arguments.common.runs,
                side.name,
                last("commands_per_second"),
                last("p99_us"),
            );
        }
    }
    let report = Report {
        bench: "commands",
        settings: json!({
            "command": "orders/place",
            "users": 100_000,
            "connections": arguments.connections,
            "seconds": arguments.seconds,
            "warm_up_seconds": arguments.warm_up_seconds,
            "alone_seconds": arguments.alone_seconds,
            "runs": arguments.common.runs,
            "profile": arguments.common.profile(),
            "lanes": 8,
            "load_generator": "wrk, 1 thread",
            "data": "a fresh directory in target/bench per run",
        }),
        measures: MEASURES.to_vec(),
        sides: sides.iter().map(|side| side.name).zip(runs).collect(),
        held: "command",
    };
    report.publish(&places.bench, arguments.common.json.as_ref())
}

fn sides(places: &Places) -> Result<[Side; 3]> {
    let market = places.binary("market")?;
    Ok([
        Side {
            name: FLOOR,
            program: places.binary("floor")?,
            arguments: &[],
            has_views: false,
        },
        Side {
            name: "command",
            program: market.clone(),
            arguments: &["command"],
            has_views: false,
        },
        Side {
            name: "nine views",
            program: market,
            arguments: &["dev"],
            has_views: true,
        },
    ])
}

impl Side {
    /// One run against a fresh server on a fresh directory.
    fn run(&self, arguments: &Arguments, places: &Places, runs: &mut Runs) -> Result<()> {
        let directory = places.fresh("commands")?;
        let mut node = Node::start(&self.program, self.arguments, &directory)?;
        let load = |salt, connections, seconds| Load {
            connections,
            time: Duration::from_secs(seconds),
            salt,
            check: salt == 1,
        };
        load(1, arguments.connections, arguments.warm_up_seconds).send(node.url())?;
        let alone = load(2, 1, arguments.alone_seconds).send(node.url())?;
        let many = load(3, arguments.connections, arguments.seconds).send(node.url())?;
        let mut add = |name, value| runs.entry(name).or_default().push(value);
        add("commands_per_second", many.rate());
        add("p50_us", many.p50_us);
        add("p99_us", many.p99_us);
        add("alone_p50_us", alone.p50_us);
        if self.has_views {
            let caught_up = node.wait_until_caught_up()?;
            add("caught_up_after_seconds", caught_up.as_secs_f64());
        }
        drop(node);
        std::fs::remove_dir_all(&directory)?;
        Ok(())
    }
}
