//! What `cargo xtask bench reading` measures: following lanes on Kafka, and two floors, in turns.
//!
//! ```text
//!   bare    a consumer of committed records that looks at nothing but their count
//!   parsed  the same, and each record is parsed as JSON once
//!   follow  `follow_lane`: decoded, sequences checked, merged in the lane's order
//! ```
//!
//! The last line it prints is JSON: seconds per run, side and number of lanes.

mod bare;
mod follow;
mod topics;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use foldline_event_log::EventLog;
use foldline_kernel::Lane;
use serde::Serialize;

// As in the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The lanes that one run reads: all of them, and one alone.
const READ_LANES: [u16; 2] = [topics::LANES, 1];

/// Measures the reading of lanes and its floors.
#[derive(Parser)]
struct Arguments {
    /// How many events the log has; they are appended once and kept
    #[arg(long)]
    events: u64,
    /// How often each side runs
    #[arg(long)]
    runs: u32,
}

/// What is printed last.
#[derive(Serialize)]
struct Measured {
    events: u64,
    bytes_per_event: f64,
    readings: Vec<Reading>,
}

/// How some lanes were read.
#[derive(Serialize)]
struct Reading {
    lanes: u16,
    events: u64,
    bare: Side,
    parsed: Side,
    follow: Side,
}

/// The runs of one side.
#[derive(Default, Serialize)]
struct Side {
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
}

impl Side {
    async fn run(&mut self, name: &str, reading: impl Future<Output = Result<()>>) -> Result<()> {
        let (began, cpu_began) = (std::time::Instant::now(), cpu());
        reading.await?;
        let (took, cpu_took) = (began.elapsed(), cpu() - cpu_began);
        // Progress goes where the figures do not.
        eprintln!("{name:<8} {took:>8.3?}   {cpu_took:>8.3?} of CPU");
        self.seconds.push(took.as_secs_f64());
        self.cpu_seconds.push(cpu_took.as_secs_f64());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kafka = std::env::var("FOLDLINE_TEST_KAFKA").context(
        "FOLDLINE_TEST_KAFKA says where the cluster is; run `cargo xtask bench reading`",
    )?;
    let (log, bytes) = topics::log(&kafka, arguments.events).await?;
    let log: Arc<dyn EventLog> = log;
    let mut readings = Vec::new();
    for lanes in READ_LANES {
        let lanes: Vec<Lane> = (0..lanes).map(Lane).collect();
        readings.push(read(&kafka, arguments.runs, &log, lanes).await?);
    }
    let measured = Measured {
        events: arguments.events,
        bytes_per_event: bytes,
        readings,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn read(
    kafka: &str,
    runs: u32,
    log: &Arc<dyn EventLog>,
    lanes: Vec<Lane>,
) -> Result<Reading> {
    let mut events = 0;
    for lane in &lanes {
        events += log.heads(*lane).await?.lane_sequence.0;
    }
    let mut reading = Reading {
        lanes: u16::try_from(lanes.len())?,
        events,
        bare: Side::default(),
        parsed: Side::default(),
        follow: Side::default(),
    };
    for run in 0..runs {
        eprintln!("run {} of {}: {} lanes", run + 1, runs, lanes.len());
        let bare = |parse| bare::run(kafka, &lanes, events, parse);
        reading.bare.run("bare", bare(false)).await?;
        reading.parsed.run("parsed", bare(true)).await?;
        let follow = follow::run(log, &lanes);
        reading.follow.run("follow", follow).await?;
    }
    Ok(reading)
}

/// Returns the CPU time of this process so far: unlike the time on the clock it hardly depends on
/// what else the machine does.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap_or_default()
}
