//! What `cargo xtask bench replay` measures: rebuilds of read models, and their floor, in turns.
//!
//! The last line it prints is JSON: seconds per run, side and read model.

mod finished;
mod floor;
mod made_up;
mod rebuild;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use foldline_event_log::EventLog;
use serde::Serialize;

use finished::Finished;
use rebuild::Rebuilds;

// As in the node, whose rebuilds these are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The read models that are rebuilt: one whose rows are set, one whose rows are shared sums, one
/// that is fed by three contexts.
const MODELS: [&str; 3] = ["orders_by_user", "seller_sales", "order"];

/// Measures rebuilds and their floor.
#[derive(Parser)]
struct Arguments {
    /// Where the log is kept for the next time, and the tables while it runs
    #[arg(long)]
    directory: PathBuf,
    /// How many events the log has
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
    models: Vec<MeasuredModel>,
}

/// One read model.
#[derive(Serialize)]
struct MeasuredModel {
    name: &'static str,
    /// The events of the contexts that feed it.
    events: u64,
    rows: usize,
    floor_seconds: Vec<f64>,
    rebuild_seconds: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let log = made_up::log(&arguments.directory, arguments.events).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let tables = arguments.directory.join("tables");
    let rebuilds = Rebuilds::start(Arc::clone(&log), &tables, &MODELS).await?;
    let mut models = Vec::new();
    for name in MODELS {
        let finished = Finished::read(&rebuilds.file(name).await?).await?;
        let model = rebuilds.model(name)?;
        let mut measured = MeasuredModel {
            name,
            events: floor::events(&log, &model).await?,
            rows: finished.rows.len(),
            floor_seconds: Vec::new(),
            rebuild_seconds: Vec::new(),
        };
        let finished = Arc::new(finished);
        for run in 1..=arguments.runs {
            let file = arguments.directory.join("floor.sqlite");
            let floor = floor::run(&log, &model, &finished, &file)
                .await
                .with_context(|| format!("the floor of {name}"))?;
            let rebuild = rebuilds.run(name).await?;
            told(name, run, floor, rebuild);
            measured.floor_seconds.push(floor.as_secs_f64());
            measured.rebuild_seconds.push(rebuild.as_secs_f64());
        }
        models.push(measured);
    }
    rebuilds.stop().await;
    std::fs::remove_dir_all(&tables)?;
    let events = arguments.events;
    println!("{}", serde_json::to_string(&Measured { events, models })?);
    Ok(())
}

/// Progress goes where the figures do not.
fn told(name: &str, run: u32, floor: Duration, rebuild: Duration) {
    let (floor, rebuild) = (floor.as_secs_f64(), rebuild.as_secs_f64());
    eprintln!("run {run}: {name:<16} floor {floor:>7.3} s   rebuild {rebuild:>7.3} s");
}
