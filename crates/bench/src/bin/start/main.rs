//! What `cargo xtask bench start` measures: states beyond memory, and starts after a kill.
//!
//! The last line it prints is JSON: commands per second and resident memory with all states in
//! memory and with the usual bound, and seconds until ready by what was left.

mod load;
mod log;
mod node;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use serde::Serialize;

use load::Load;
use node::Node;

/// Measures states beyond memory, and starts.
#[derive(Parser)]
struct Arguments {
    /// The program that is measured
    #[arg(long)]
    market: PathBuf,
    /// Where logs are kept for the next time, and data while it runs
    #[arg(long)]
    directory: PathBuf,
    /// How many users have states while commands are counted: one order and one payment each
    #[arg(long)]
    users: u64,
    /// How many users the starts are measured with, 20 events each
    #[arg(long)]
    start_users: u64,
    /// For how long commands are counted, and there is load before each kill
    #[arg(long)]
    seconds: u64,
    /// How many callers there are
    #[arg(long)]
    connections: usize,
    /// How often each side runs
    #[arg(long)]
    runs: u32,
}

/// What is printed last.
#[derive(Default, Serialize)]
struct Measured {
    all_commands_per_second: Vec<f64>,
    all_resident_mib: Vec<f64>,
    bounded_commands_per_second: Vec<f64>,
    /// The most it ever was, while the log was read too.
    bounded_resident_mib: Vec<f64>,
    full_seconds: Vec<f64>,
    warm_seconds: Vec<f64>,
    cold_seconds: Vec<f64>,
}

/// Enough for every state there is.
const UNBOUNDED: &[(&str, &str)] = &[("FOLDLINE_STATE__MEMORY_BYTES_MAX", "68719476736")];
const DEFAULTS: &[(&str, &str)] = &[];

const EVENTS_WHILE_COUNTING: u64 = 2;
const EVENTS_AT_STARTS: u64 = 20;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut measured = Measured::default();
    if arguments.users > 0 {
        let log = log::made(&arguments.directory, arguments.users, EVENTS_WHILE_COUNTING)?;
        for run in 1..=arguments.runs {
            let (rate, resident) = arguments.count(&log, UNBOUNDED)?;
            told(run, "all in memory", rate, resident);
            measured.all_commands_per_second.push(rate);
            measured.all_resident_mib.push(resident);
            let (rate, resident) = arguments.count(&log, DEFAULTS)?;
            told(run, "bounded", rate, resident);
            measured.bounded_commands_per_second.push(rate);
            measured.bounded_resident_mib.push(resident);
        }
    }
    if arguments.start_users > 0 {
        let log = log::made(
            &arguments.directory,
            arguments.start_users,
            EVENTS_AT_STARTS,
        )?;
        arguments.starts(&log, &mut measured)?;
    }
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Progress goes where the figures do not.
fn told(run: u32, side: &str, rate: f64, resident: f64) {
    eprintln!("run {run}: {side:<14} {rate:>8.0} commands/s, at most {resident:>6.0} MiB resident");
}

impl Arguments {
    /// Counts commands over all users on a fresh copy of a log.
    fn count(&self, log: &Path, settings: &[(&str, &str)]) -> Result<(f64, f64)> {
        let data = self.copied(log)?;
        let (node, ready) = Node::start(&self.market, &data, settings)?;
        eprintln!("ready after {:.2} s", ready.as_secs_f64());
        let seconds = Duration::from_secs(self.seconds);
        // Once as a warm-up: caches fill, tables are written and merged.
        self.load(1, self.users).run(&node, seconds / 2)?;
        let begun = Instant::now();
        let accepted = self.load(2, self.users).run(&node, seconds)?;
        let rate = accepted as f64 / begun.elapsed().as_secs_f64();
        let resident = node.resident_mib_max()?;
        drop(node);
        std::fs::remove_dir_all(&data)?;
        Ok((rate, resident))
    }

    /// Kills the node at some moment under load, and starts it with all that was left, without the
    /// local store, and without anything but the log.
    fn starts(&self, log: &Path, measured: &mut Measured) -> Result<()> {
        let data = self.copied(log)?;
        let (mut node, first) = Node::start(&self.market, &data, DEFAULTS)?;
        eprintln!("the first start took {:.2} s", first.as_secs_f64());
        for run in 1..=self.runs {
            // Stopped in order once, so that there are snapshots whatever the load comes to.
            node.stop()?;
            (node, _) = Node::start(&self.market, &data, DEFAULTS)?;
            let mut started = |what: &str, salt: u32, spoil: &dyn Fn() -> Result<()>| {
                self.load_until_killed(&mut node, run * 3 + salt)?;
                spoil()?;
                let took;
                (node, took) = Node::start(&self.market, &data, DEFAULTS)?;
                eprintln!("run {run}: {what:<22} {:>8.2} s", took.as_secs_f64());
                Ok::<_, anyhow::Error>(took.as_secs_f64())
            };
            let state = data.join("state");
            let remove = || Ok(std::fs::remove_dir_all(&state)?);
            let warm = started("warm local store", 0, &|| Ok(()))?;
            let cold = started("cold, with snapshots", 1, &remove)?;
            let full = started("full replay", 2, &|| {
                remove()?;
                log::forget_snapshots(&data)
            })?;
            measured.warm_seconds.push(warm);
            measured.cold_seconds.push(cold);
            measured.full_seconds.push(full);
        }
        drop(node);
        std::fs::remove_dir_all(&data)?;
        Ok(())
    }

    fn load_until_killed(&self, node: &mut Node, salt: u32) -> Result<()> {
        // Anywhere in the second half of the time.
        let millis = self.seconds * 1000;
        let more = load::mix(u64::from(salt)) % (millis / 2).max(1);
        let time = Duration::from_millis(millis / 2 + more);
        let load = self.load(1000 + salt, self.start_users);
        let accepted = load.run_until_killed(node, time)?;
        eprintln!(
            "killed after {:.1} s and {accepted} commands",
            time.as_secs_f64()
        );
        Ok(())
    }

    fn load(&self, salt: u32, users: u64) -> Load {
        Load {
            connections: self.connections,
            users,
            salt,
        }
    }

    /// A fresh data directory with a copy of a log in it.
    fn copied(&self, log: &Path) -> Result<PathBuf> {
        let data = self.directory.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        copy(log, &data.join("log")).context("the log cannot be copied")?;
        Ok(data)
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(std::fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}
