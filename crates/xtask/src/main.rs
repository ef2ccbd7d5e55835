//! The commands that look after the workspace: tests, servers for them, goldens, benchmarks, faults,
//! the architecture check.
//!
//! `cargo xtask test` is what a developer runs, and what the build machine runs.

mod architecture;
mod bench;
mod faults;
mod goldens;
mod services;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Looks after the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Everything that must hold: format, clippy, docs, architecture, every test.
    Test(test::Arguments),
    /// Writes every golden file anew, and says which changed.
    Goldens,
    /// Compares the crates with the tables in ARCHITECTURE.md, and licences with a list.
    Architecture,
    /// Measures a part beside its floor: the least work with which it could be done.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Lets faults befall real nodes on a real broker under load, and checks what they promise.
    Faults(faults::Arguments),
    /// Real servers on this machine's loopback: Kafka, Cassandra, Postgres.
    #[command(subcommand)]
    Services(services::Command),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Test(arguments) => test::run(&arguments),
        Command::Goldens => goldens::run(),
        Command::Architecture => architecture::run(),
        Command::Bench(command) => bench::run(&command),
        Command::Faults(arguments) => faults::run(&arguments),
        Command::Services(command) => services::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
