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
    /// Which read models are rebuilt; all three unless told
    #[arg(long = "model", default_values = MODELS)]
    models: Vec<String>,
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
    name: String,
    /// The events of the contexts that feed it.
    events: u64,
    rows: usize,
    floor_seconds: Vec<f64>,
    rebuild_seconds: Vec<f64>,
    floor_cpu_seconds: Vec<f64>,
    rebuild_cpu_seconds: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let log = made_up::log(&arguments.directory, arguments.events).await?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let tables = arguments.directory.join("tables");
    let rebuilds = Rebuilds::start(Arc::clone(&log), &tables, &arguments.models).await?;
    let mut models = Vec::new();
    for name in &arguments.models {
        let finished = Finished::read(&rebuilds.file(name).await?).await?;
        let model = rebuilds.model(name)?;
        let mut measured = MeasuredModel {
            name: name.clone(),
            events: floor::events(&log, &model).await?,
            rows: finished.rows.len(),
            floor_seconds: Vec::new(),
            rebuild_seconds: Vec::new(),
            floor_cpu_seconds: Vec::new(),
            rebuild_cpu_seconds: Vec::new(),
        };
        let finished = Arc::new(finished);
        for _ in 0..arguments.runs {
            let file = arguments.directory.join("floor.sqlite");
            let before = cpu();
            let floor = floor::run(&log, &model, &finished, &file)
                .await
                .with_context(|| format!("the floor of {name}"))?;
            let between = cpu();
            let rebuild = rebuilds.run(name).await?;
            measured
                .floor_cpu_seconds
                .push((between - before).as_secs_f64());
            measured
                .rebuild_cpu_seconds
                .push((cpu() - between).as_secs_f64());
            measured.floor_seconds.push(floor.as_secs_f64());
            measured.rebuild_seconds.push(rebuild.as_secs_f64());
            told(&measured);
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
fn told(measured: &MeasuredModel) {
    let last = |seconds: &[f64]| seconds.last().copied().unwrap_or_default();
    eprintln!(
        "run {}: {:<16} floor {:>7.3} s ({:>7.3} s of CPU)   rebuild {:>7.3} s ({:>7.3} s of CPU)",
        measured.floor_seconds.len(),
        measured.name,
        last(&measured.floor_seconds),
        last(&measured.floor_cpu_seconds),
        last(&measured.rebuild_seconds),
        last(&measured.rebuild_cpu_seconds),
    );
}

/// Returns the CPU time of this process so far: unlike the time on the clock it hardly depends on
/// what else the machine does.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap_or_default()
}
