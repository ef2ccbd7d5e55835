//! What a figure was taken on.

use std::process::Command;

use anyhow::Result;
use serde::Serialize;

use crate::workspace::{output, root};

/// The machine, as far as it tells.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// The processor's name.
    cpu: String,
    /// How many cores this process may use.
    cores: usize,
    /// Main memory.
    memory_mib: u64,
    /// The kernel's name and release.
    kernel: String,
}

/// The commit that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Commit {
    /// Its hash.
    id: String,
    /// Whether there are changes that are not committed.
    changed: bool,
}

impl Machine {
    /// Asks the system; what it does not tell stays empty.
    pub(super) fn this() -> Self {
        Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .unwrap_or_default()
                / 1024,
            kernel: output(Command::new("uname").args(["-s", "-r"]))
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cpu,
            cores,
            memory_mib,
            kernel,
        } = self;
        write!(f, "{cpu}, {cores} cores, {memory_mib} MiB, {kernel}")
    }
}

impl Commit {
    /// Asks git.
    pub(super) fn this() -> Result<Self> {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            output(git.current_dir(root()).args(arguments))
        };
        Ok(Self {
            id: git(&["rev-parse", "HEAD"])?.trim().to_owned(),
            changed: !git(&["status", "--porcelain"])?.is_empty(),
        })
    }
}

impl std::fmt::Display for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let changed = if self.changed { " with changes" } else { "" };
        write!(f, "commit {}{changed}", self.id)
    }
}

/// The value after `name :` in a file of that form.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
