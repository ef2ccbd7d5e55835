//! `cargo xtask faults`: builds the nodes and `crates/faults`, which does everything else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    services::{Interrupt, KafkaPrograms, Lock},
    workspace::{TEST_FEATURES, cargo, root, run as run_program},
};

/// How long it goes on, and what befalls.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask faults --rounds 200 --seed 7\n  \
    cargo xtask faults --only kill-broker --rounds 5\n  \
    cargo xtask faults --broken fencing   # must be found out\n\n\
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
    /// What `cargo xtask test` runs: a few rounds, then each promise broken on purpose.
    #[arg(long, conflicts_with_all = ["rounds", "seed", "only", "json", "broken", "more"])]
    short: bool,
    /// Breaks a promise on purpose (fencing, answer, checkpoint), and expects that it is found.
    #[arg(long, value_name = "PROMISE")]
    broken: Option<String>,
    /// What is passed on as it is.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs faults.
///
/// # Errors
/// When something is found or cannot be run.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.short {
        return short();
    }
    let nodes = Nodes::build()?;
    let (rounds, seed) = (arguments.rounds.to_string(), arguments.seed.to_string());
    let mut words = vec!["--rounds", &rounds, "--seed", &seed];
    words.extend(arguments.only.iter().flat_map(|fault| ["--only", fault]));
    let broken = arguments.broken.iter();
    words.extend(broken.flat_map(|promise| ["--broken", promise]));
    words.extend(arguments.json.then_some("--json"));
    words.extend(arguments.more.iter().map(String::as_str));
    nodes.befall(&words)
}

/// A few rounds of whatever the seed has, then nodes that break a promise, each of which must be
/// found out.
///
/// # Errors
/// When something is found that should not be, or is not that should.
pub(crate) fn short() -> Result<()> {
    let nodes = Nodes::build()?;
    nodes.befall(&["--rounds", "6"])?;
    for promise in ["fencing", "answer", "checkpoint"] {
        println!("broken on purpose: {promise}");
        nodes.befall(&["--rounds", "8", "--check-every", "2", "--broken", promise])?;
    }
    Ok(())
}

/// Nodes and a broker, ready to be started.
struct Nodes {
    interrupt: Interrupt,
    programs: KafkaPrograms,
    market: PathBuf,
    faults: PathBuf,
    directory: PathBuf,
    /// Nobody else starts any in this directory.
    _alone: Lock,
}

impl Nodes {
    fn build() -> Result<Self> {
        let interrupt = Interrupt::catch()?;
        let target = root().join("target");
        let directory = target.join("faults");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let alone = Lock::take(&directory.join("lock"), "the end of other faults")?;
        Ok(Self {
            programs: KafkaPrograms::fetch(&interrupt)?,
            market: build(&target, &directory)?,
            faults: target.join("debug/faults"),
            directory: directory.join("run"),
            interrupt,
            _alone: alone,
        })
    }

    fn befall(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.faults);
        command
            .arg("--market")
            .arg(&self.market)
            .arg("--java")
            .arg(&self.programs.java)
            .arg("--kafka")
            .arg(&self.programs.jars)
            .arg("--directory")
            .arg(&self.directory)
            .args(words);
        self.interrupt.run(&mut command)
    }
}

/// Builds the nodes as for the tests, so that nothing is compiled twice; they are kept aside, where
/// no other build takes their place meanwhile.
fn build(target: &Path, directory: &Path) -> Result<PathBuf> {
    let packages = ["--package", "faults", "--package", "market"];
    let features = ["--features", TEST_FEATURES];
    run_program(&mut cargo(
        &[&["build", "--quiet", "--bins"], &packages[..], &features].concat(),
    ))?;
    let (built, kept) = (target.join("debug/market"), directory.join("market"));
    // Not over the old one: a node may still run it.
    let _ = fs::remove_file(&kept);
    fs::copy(&built, &kept).with_context(|| format!("cannot make {}", kept.display()))?;
    Ok(kept)
}
