//! `cargo xtask bench commands --kafka`: commands on Kafka beside one produced record per request.

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    Places,
    commands::Arguments,
    figures::{Bound, Measure},
    load::{Load, require_wrk},
    node::Node,
    report::{FLOOR, Report, Runs},
};
use crate::services::{Interrupt, Lease, Server};

/// The second number of callers.
const MANY: u32 = 1024;

const MEASURES: [Measure; 5] = [
    measure(
        "commands_per_second",
        "commands/s",
        Some(Bound::AtLeast(0.7)),
    ),
    measure("p50_us", "p50, µs", None),
    measure("p99_us", "p99, µs", None),
    measure(
        "many_per_second",
        "1,024 callers, commands/s",
        Some(Bound::AtLeast(0.75)),
    ),
    measure(
        "alone_p50_us",
        "one caller alone, p50, µs",
        Some(Bound::AtMost(1.5)),
    ),
];

const fn measure(name: &'static str, title: &'static str, bound: Option<Bound>) -> Measure {
    Measure {
        name,
        title,
        digits: 0,
        bound,
    }
}

/// Runs the floors and a command node in turns and publishes the figures.
///
/// One caller alone is measured beside transactions of one record each, since that is what a
/// command cannot do without; many callers beside a producer without transactions.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    require_wrk()?;
    let places = Places::build(&["market", "bench"], &arguments.common)?;
    let interrupt = Interrupt::catch()?;
    let servers = Lease::to_measure(&[Server::Kafka], &interrupt)?;
    let kafka = servers.address(Server::Kafka);
    // As many lanes as the floor has partitions.
    let lanes = places.bench.join("commands-on-kafka.toml");
    std::fs::write(&lanes, "[log]\nlanes = 8\n")?;
    let node = ["command", "--config", &lanes.display().to_string()];
    let (mut floor, mut command) = (Runs::new(), Runs::new());
    for run in 1..=arguments.common.runs {
        interrupt.check()?;
        let prefix = format!("bench-{}-{run}.", std::process::id());
        let at = ["--kafka", kafka, "--topic-prefix", &prefix];
        let side = |name, program, before: &[&str], after: &[&str], wanted| {
            let all: Vec<_> = before.iter().chain(&at).chain(after).copied().collect();
            measured(arguments, &places, program, &all, wanted)
                .with_context(|| format!("run {run} of {name}"))
        };
        merge(&mut floor, side(FLOOR, "floor", &[], &[], Wanted::MANY)?);
        let alone = side(FLOOR, "floor", &[], &["--transactions"], Wanted::ALONE)?;
        merge(&mut floor, alone);
        merge(
            &mut command,
            side("command", "market", &node, &[], Wanted::ALL)?,
        );
        for (name, runs) in [(FLOOR, &floor), ("command", &command)] {
            let last = |name| runs[name].last().copied().unwrap_or_default();
            println!(
                "run {run} of {}: {name:<8} {:>7.0} commands/s, {:>7.0} with {MANY} callers, alone {:>6.0} µs",
                arguments.common.runs,
                last("commands_per_second"),
                last("many_per_second"),
                last("alone_p50_us"),
            );
        }
    }
    let report = Report {
        bench: "commands-on-kafka",
        settings: json!({
            "command": "orders/place",
            "users": 100_000,
            "connections": [arguments.connections, MANY],
            "seconds": arguments.seconds,
            "warm_up_seconds": arguments.warm_up_seconds,
            "alone_seconds": arguments.alone_seconds,
            "runs": arguments.common.runs,
            "profile": arguments.common.profile(),
            "lanes": 8,
            "load_generator": "wrk, 1 thread",
            "floors": "one idempotent acks=all record per request; alone: one transaction per request",
        }),
        measures: MEASURES.to_vec(),
        sides: vec![(FLOOR, floor), ("command", command)],
        held: "command",
    };
    report.publish(&places.bench, arguments.common.json.as_ref())
}

/// What is measured of a server.
#[derive(Clone, Copy)]
struct Wanted {
    alone: bool,
    many: bool,
}

impl Wanted {
    const ALONE: Self = Self {
        alone: true,
        many: false,
    };
    const MANY: Self = Self {
        alone: false,
        many: true,
    };
    const ALL: Self = Self {
        alone: true,
        many: true,
    };
}

/// One run against a fresh server.
fn measured(
    arguments: &Arguments,
    places: &Places,
    program: &str,
    told: &[&str],
    wanted: Wanted,
) -> Result<Runs> {
    let directory = places.fresh("commands-on-kafka")?;
    let node = Node::start(&places.binary(program)?, told, &directory)?;
    let load = |salt, connections, seconds| {
        let load = Load {
            connections,
            time: std::time::Duration::from_secs(seconds),
            salt,
            check: salt == 1,
        };
        load.send(node.url())
    };
    let mut runs = Runs::new();
    let mut add = |name, value| runs.entry(name).or_default().push(value);
    load(1, arguments.connections, arguments.warm_up_seconds)?;
    if wanted.alone {
        add("alone_p50_us", load(2, 1, arguments.alone_seconds)?.p50_us);
    }
    if wanted.many {
        let usual = load(3, arguments.connections, arguments.seconds)?;
        add("commands_per_second", usual.rate());
        add("p50_us", usual.p50_us);
        add("p99_us", usual.p99_us);
        add("many_per_second", load(4, MANY, arguments.seconds)?.rate());
    }
    drop(node);
    std::fs::remove_dir_all(&directory)?;
    Ok(runs)
}

fn merge(into: &mut Runs, more: Runs) {
    for (name, values) in more {
        into.entry(name).or_default().extend(values);
    }
}
