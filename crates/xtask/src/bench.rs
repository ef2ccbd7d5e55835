//! `cargo xtask bench`: a part of the product beside its floor, in one run.
//!
//! A figure alone says little about code: it depends on the machine. So each benchmark runs a
//! *floor* too, the least work with which the same could be done, on the same machine, in turns
//! with the product and with the same codec, threads, lanes, sync mode and driver. What counts is
//! the ratio.

mod commands;
mod figures;
mod kafka;
mod load;
mod machine;
mod node;
mod reading;
mod replay;
mod report;
mod start;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::workspace::{cargo, root, run as run_program};

/// What is measured.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Commands over HTTP; the floor is one durable append of a ready-made event per request.
    Commands(commands::Arguments),
    /// Lanes on Kafka followed; the floors are a bare consumer, and one that parses each record.
    Reading(reading::Arguments),
    /// A rebuild of three read models; the floor reads, decodes and inserts the finished rows.
    Replay(replay::Arguments),
    /// States beyond memory, and starts after a kill; the floors are all of them in memory, and a
    /// full replay.
    Start(start::Arguments),
}

/// What every benchmark can be told.
#[derive(clap::Args)]
struct Common {
    /// Also writes the figures to this file; they are always in target/bench.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each side runs; medians are given.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Builds in the dev profile: to try a benchmark itself; its figures mean nothing.
    #[arg(long)]
    dev: bool,
}

impl Common {
    /// The cargo profile of what is measured.
    fn profile(&self) -> &'static str {
        if self.dev { "dev" } else { "release" }
    }
}

/// Runs a benchmark and prints its figures.
///
/// # Errors
/// When a server does not start, an answer is not what it should be, or a program is missing.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Commands(arguments) => commands::run(arguments),
        Command::Reading(arguments) => reading::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Start(arguments) => start::run(arguments),
    }
}

/// Where benchmarks keep their data and leave their figures.
struct Places {
    /// The binaries that are measured.
    binaries: PathBuf,
    /// `target/bench`.
    bench: PathBuf,
}

impl Places {
    /// Builds the binaries of some packages, and says where they are.
    fn build(packages: &[&str], common: &Common) -> Result<Self> {
        let profile = common.profile();
        let target = MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cannot read the workspace")?
            .target_directory
            .into_std_path_buf();
        let mut build = cargo(&["build", "--profile", profile, "--bins"]);
        build.args(packages.iter().flat_map(|package| ["--package", package]));
        println!("building in the profile `{profile}`");
        run_program(&mut build)?;
        let bench = target.join("bench");
        std::fs::create_dir_all(&bench)
            .with_context(|| format!("cannot make {}", bench.display()))?;
        Ok(Self {
            binaries: target.join(if common.dev { "debug" } else { profile }),
            bench,
        })
    }

    /// Returns the path of a binary that [`Self::build`] built.
    fn binary(&self, name: &str) -> Result<PathBuf> {
        let path = self.binaries.join(name);
        ensure!(path.exists(), "{} has not been built", path.display());
        Ok(path)
    }

    /// Makes an empty directory for one run.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.bench.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)
                .with_context(|| format!("cannot empty {}", path.display()))?;
        }
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}
