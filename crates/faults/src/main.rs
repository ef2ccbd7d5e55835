//! `faults`: started by `cargo xtask faults`, which builds what it needs.

use std::process::ExitCode;

use clap::Parser as _;
use faults::{rounds, settings::Settings};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    // Told to end, the run is dropped where it is, and every process that it started with it.
    let done = tokio::select! {
        done = rounds::run(&settings) => done,
        () = told_to_end() => {
            eprintln!("interrupted");
            return ExitCode::FAILURE;
        }
    };
    let is_good = match (done, settings.broken) {
        (Ok(findings), None) => findings.count() == 0,
        (Ok(findings), Some(broken)) => broken.is_found(&findings),
        (Err(error), _) => {
            eprintln!("error: {error:#}");
            false
        }
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn told_to_end() {
    let caught = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal);
    let [Ok(mut interrupted), Ok(mut terminated), Ok(mut hung_up)] = caught else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        _ = hung_up.recv() => {}
    }
}
