//! `cargo xtask test`: everything that must hold before a change is good.

use std::{
    fmt,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{
    architecture, faults,
    services::{Interrupt, Lease, Server},
    workspace::{self, TEST_FEATURES, cargo, shown},
};

/// The servers that tests run against; each is up while they run.
pub(crate) const SERVERS: &[Server] = &[Server::Kafka, Server::Cassandra, Server::Postgres];

/// What to check, and whether to go on after a failure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Goes on with the next step after one has failed.
    #[arg(long)]
    keep_going: bool,
    /// Only this step; may be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

/// One thing that must hold; they run in this order.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The code is formatted.
    Format,
    /// Clippy has nothing to say.
    Clippy,
    /// The documentation builds, and its links lead somewhere.
    Docs,
    /// The crates are those of ARCHITECTURE.md, and licences are permissive.
    Architecture,
    /// Every test, documented example and golden file.
    Tests,
    /// Nodes keep their promises through some faults, and nodes that break one are found out.
    Faults,
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    NotRun,
}

/// Runs the steps and prints a table of how they went.
///
/// # Errors
/// When one of them failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut results = Vec::new();
    let mut failed = Vec::new();
    for step in Step::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(step) {
            continue;
        }
        if !failed.is_empty() && !arguments.keep_going {
            results.push((*step, Outcome::NotRun, Duration::ZERO));
            continue;
        }
        let (outcome, took) = step.run();
        results.push((*step, outcome, took));
        if outcome == Outcome::Failed {
            failed.push(step.to_string());
        }
    }
    print_summary(&results);
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

impl Step {
    /// Runs the step, its output passed through, and says how to see or mend a failure.
    fn run(self) -> (Outcome, Duration) {
        let mut command = self.command();
        let what = match (&command, self) {
            (Some(command), _) => shown(command),
            (None, Self::Faults) => "cargo xtask faults --short".to_owned(),
            (None, _) => "cargo xtask architecture".to_owned(),
        };
        println!("\n== {self}: {what}");
        let began = Instant::now();
        let done = match &mut command {
            Some(command) if self == Self::Tests => run_with_servers(command),
            Some(command) => workspace::run(command),
            None if self == Self::Faults => faults::short(),
            None => architecture::run(),
        };
        let took = began.elapsed();
        match done {
            Ok(()) => {
                println!("== {self} passed in {}", seconds(took));
                (Outcome::Passed, took)
            }
            Err(error) => {
                println!("== {self} FAILED after {}: {error:#}", seconds(took));
                println!("   this step alone: cargo xtask test --only {self}");
                println!("   {}", self.way_out());
                (Outcome::Failed, took)
            }
        }
    }

    /// The program that checks it; `None` where this program does so itself.
    fn command(self) -> Option<Command> {
        let features = ["--workspace", "--features", TEST_FEATURES];
        let (first, last): (&[&str], &[&str]) = match self {
            Self::Format => return Some(cargo(&["fmt", "--all", "--check"])),
            Self::Architecture | Self::Faults => return None,
            Self::Clippy => (&["clippy"], &["--all-targets", "--", "-D", "warnings"]),
            Self::Docs => (&["doc"], &["--no-deps"]),
            // Every test binary runs, whatever became of the one before.
            Self::Tests => (&["test"], &["--no-fail-fast"]),
        };
        let mut command = cargo(&[first, &features, last].concat());
        if self == Self::Docs {
            command.env("RUSTDOCFLAGS", "-D warnings");
        }
        Some(command)
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::Format => "to mend it: cargo fmt --all",
            Self::Architecture => "to mend it: each line above says how",
            Self::Clippy => {
                "to mend what mends itself: cargo clippy --fix --workspace --all-targets"
            }
            Self::Docs => "to mend it: the warnings above name file and line",
            Self::Tests => {
                "one test alone: cargo test -p CRATE NAME; \
                 golden files that should differ: cargo xtask goldens"
            }
            Self::Faults => {
                "to see it again: cargo xtask faults --rounds 6 --seed 1; what the nodes printed \
                 is in target/faults/run"
            }
        }
    }
}

/// Runs tests while the servers that they need are up, and puts away what it has started: also if
/// they fail, and if this program is told to end.
///
/// # Errors
/// When a server does not come up, or a test fails.
pub(crate) fn run_with_servers(tests: &mut Command) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let servers = Lease::take(SERVERS, &interrupt)?;
    servers.tell(tests);
    interrupt.run(tests)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no step is skipped");
        f.pad(value.get_name())
    }
}

fn print_summary(results: &[(Step, Outcome, Duration)]) {
    println!("\nstep          result       time");
    for (step, outcome, took) in results {
        let (word, time) = match outcome {
            Outcome::Passed => ("passed", seconds(*took)),
            Outcome::Failed => ("FAILED", seconds(*took)),
            Outcome::NotRun => ("not run", String::new()),
        };
        println!("{step:<12}  {word:<7}  {time:>8}");
    }
    let total = results.iter().map(|(_, _, took)| *took).sum();
    println!("{:<12}  {:<7}  {:>8}", "together", "", seconds(total));
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
    }
}
