//! `cargo xtask bench reading`: lanes on Kafka followed beside a bare consumer of their topics.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::{
    Common, Places,
    figures::{Bound, Measure},
    report::{FLOOR, Report, Runs},
};
use crate::{
    services::{Interrupt, Lease, Server},
    workspace::output,
};

/// How much is read.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How many events the made-up log has; it is kept while the server is.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
}

/// What the measuring program prints last.
#[derive(Deserialize)]
struct Measured {
    events: u64,
    bytes_per_event: f64,
    readings: Vec<Reading>,
}

/// The runs of each side over so many lanes.
#[derive(Deserialize)]
struct Reading {
    lanes: u16,
    events: u64,
    bare: Side,
    parsed: Side,
    follow: Side,
}

#[derive(Deserialize)]
struct Side {
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
}

/// One way to look at the runs: over how many lanes, beside which floor, by which time.
struct Way {
    lanes: u16,
    measure: Measure,
    floor: fn(&Reading) -> &Side,
    seconds: fn(&Side) -> &Vec<f64>,
}

const BARE: Option<Bound> = Some(Bound::AtLeast(0.5));
const PARSED: Option<Bound> = Some(Bound::AtLeast(0.8));

const fn way(
    lanes: u16,
    name: &'static str,
    title: &'static str,
    floor: fn(&Reading) -> &Side,
    bound: Option<Bound>,
) -> Way {
    Way {
        lanes,
        measure: Measure {
            name,
            title,
            digits: 0,
            bound,
        },
        floor,
        seconds: |side| &side.seconds,
    }
}

fn ways() -> Vec<Way> {
    let bare: fn(&Reading) -> &Side = |reading| &reading.bare;
    let parsed: fn(&Reading) -> &Side = |reading| &reading.parsed;
    let by_cpu = |way: Way| Way {
        seconds: |side| &side.cpu_seconds,
        ..way
    };
    vec![
        way(8, "bare_per_second", "8 lanes, bare, /s", bare, BARE),
        way(
            8,
            "parsed_per_second",
            "8 lanes, parsed, /s",
            parsed,
            PARSED,
        ),
        way(1, "one_bare_per_second", "1 lane, bare, /s", bare, BARE),
        way(
            1,
            "one_parsed_per_second",
            "1 lane, parsed, /s",
            parsed,
            PARSED,
        ),
        by_cpu(way(
            8,
            "bare_per_cpu_second",
            "8 lanes, bare, /s CPU",
            bare,
            None,
        )),
        by_cpu(way(
            8,
            "parsed_per_cpu_second",
            "8 lanes, parsed, /s CPU",
            parsed,
            None,
        )),
    ]
}

/// Runs the measuring program on a broker and publishes the figures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let places = Places::build(&["bench"], &arguments.common)?;
    let mut program = Command::new(places.binary("reading")?);
    program
        .args(["--events", &arguments.events.to_string()])
        .args(["--runs", &arguments.common.runs.to_string()]);
    let interrupt = Interrupt::catch()?;
    let servers = Lease::to_measure(&[Server::Kafka], &interrupt)?;
    servers.tell(&mut program);
    let printed = output(&mut program)?;
    let last = printed.lines().last().unwrap_or_default();
    let measured: Measured = serde_json::from_str(last)
        .with_context(|| format!("the measuring program ended with `{last}`"))?;
    report(&measured, &arguments.common)?.publish(&places.bench, arguments.common.json.as_ref())
}

fn report(measured: &Measured, common: &Common) -> Result<Report> {
    let ways = ways();
    let (mut floors, mut follow) = (Runs::new(), Runs::new());
    for way in &ways {
        let mut readings = measured.readings.iter();
        let reading = readings.find(|reading| reading.lanes == way.lanes);
        let reading = reading.with_context(|| format!("{} lanes were not read", way.lanes))?;
        let rates = |side: &Side| {
            let seconds = (way.seconds)(side).iter();
            seconds
                .map(|seconds| reading.events as f64 / seconds)
                .collect()
        };
        floors.insert(way.measure.name, rates((way.floor)(reading)));
        follow.insert(way.measure.name, rates(&reading.follow));
    }
    Ok(Report {
        bench: "reading",
        settings: json!({
            "events": measured.events,
            "bytes_per_event": measured.bytes_per_event,
            "runs": common.runs,
            "profile": common.profile(),
            "floors": "a bare consumer of the same partitions and settings; the same, each record parsed as JSON once",
        }),
        measures: ways.into_iter().map(|way| way.measure).collect(),
        sides: vec![(FLOOR, floors), ("follow", follow)],
        held: "follow",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_floor_is_beside_the_same_runs() {
        let side = |seconds: f64| Side {
            seconds: vec![seconds],
            cpu_seconds: vec![seconds * 2.0],
        };
        let reading = |lanes, events| Reading {
            lanes,
            events,
            bare: side(1.0),
            parsed: side(2.0),
            follow: side(4.0),
        };
        let measured = Measured {
            events: 800,
            bytes_per_event: 600.0,
            readings: vec![reading(8, 800), reading(1, 100)],
        };
        let common = Common {
            json: None,
            runs: 1,
            dev: true,
        };
        let report = report(&measured, &common).unwrap();
        let [(_, floors), (_, follow)] = &report.sides[..] else {
            panic!("two sides");
        };
        assert_eq!(floors["bare_per_second"], [800.0]);
        assert_eq!(floors["parsed_per_second"], [400.0]);
        assert_eq!(follow["parsed_per_second"], [200.0]);
        assert_eq!(follow["one_bare_per_second"], [25.0]);
        assert_eq!(follow["bare_per_cpu_second"], [100.0]);
    }
}
