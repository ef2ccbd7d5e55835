//! `cargo xtask faults`: builds the nodes and `crates/faults`, which does everything else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{
    services::{Interrupt, KafkaPrograms, Lock},
    workspace::{TEST_FEATURES, cargo, root, run as run_program},
};

/// How long it goes on, and what befalls.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask faults --rounds 200 --seed 7\n  \
    cargo xtask faults --only kill-broker --rounds 5\n  \
    cargo xtask faults --broken fencing   # a build that must be found out\n\n\
    What else there is to set: cargo xtask faults -- --help")]
pub(crate) struct Arguments {
    /// How many faults there are, one after another.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// What the choice of faults follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this fault; may be given more than once.
    #[arg(long, value_name = "FAULT")]
    only: Vec<String>,
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
    /// A build that breaks a promise: there must be findings, and the run ends with them.
    #[arg(long)]
    broken: Option<Broken>,
    /// What is passed on as it is.
    #[arg(last = true)]
    more: Vec<String>,
}

/// What a build for trying the checker does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Broken {
    /// A writer that was replaced goes on.
    Fencing,
    /// Commands are answered before they are in the log.
    Answer,
    /// A checkpoint is moved before its rows are there.
    Checkpoint,
}

impl Broken {
    /// The package that breaks it, and its feature.
    fn feature(self) -> (&'static str, &'static str) {
        match self {
            Self::Fencing => ("foldline-event-log", "broken-fencing"),
            Self::Answer => ("foldline-command", "broken-answer"),
            Self::Checkpoint => ("foldline-tables", "broken-checkpoint"),
        }
    }
}

/// Runs faults.
///
/// # Errors
/// When something is found or cannot be run.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let target = root().join("target");
    let directory = target.join("faults");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let _alone = Lock::take(&directory.join("lock"), "the end of other faults")?;
    let market = build(arguments.broken, &target, &directory)?;
    let programs = KafkaPrograms::fetch(&interrupt)?;
    let mut command = Command::new(target.join("debug/faults"));
    command
        .arg("--market")
        .arg(market)
        .arg("--java")
        .arg(programs.java)
        .arg("--kafka")
        .arg(programs.jars)
        .arg("--directory")
        .arg(directory.join("run"))
        .args(["--rounds", &arguments.rounds.to_string()])
        .args(["--seed", &arguments.seed.to_string()])
        .args(arguments.only.iter().flat_map(|fault| ["--only", fault]))
        .args(arguments.json.then_some("--json"))
        .args(&arguments.more);
    interrupt.run(&mut command)
}

/// Builds the nodes, kept aside: the next build of another kind takes their place.
fn build(broken: Option<Broken>, target: &Path, directory: &Path) -> Result<PathBuf> {
    // As for the tests, so that nothing is compiled twice.
    run_program(&mut cargo(&["build", "--quiet", "--package", "faults"]))?;
    let mut build = cargo(&["build", "--quiet", "--package", "market", "--bin", "market"]);
    let mut features = TEST_FEATURES.to_owned();
    let mut name = "market".to_owned();
    if let Some(broken) = broken {
        let (package, feature) = broken.feature();
        build.args(["--package", package]);
        features += &format!(",{package}/{feature}");
        name += &format!("-{feature}");
    }
    run_program(build.args(["--features", &features]))?;
    let (built, kept) = (target.join("debug/market"), directory.join(name));
    if !built.exists() {
        bail!("{} has not been built", built.display());
    }
    // Not over the old one: a node may still run it.
    let _ = fs::remove_file(&kept);
    fs::copy(&built, &kept).with_context(|| format!("cannot make {}", kept.display()))?;
    Ok(kept)
}
