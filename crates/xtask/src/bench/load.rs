//! The load generator: wrk, in a process of its own.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::workspace::{output, root};

/// How long wrk waits for an answer before it counts a timeout.
const ANSWERED_WITHIN_SECONDS: u32 = 10;

/// What one run of wrk found; its script prints it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Figures {
    requests: u64,
    duration_us: u64,
    /// Half of the answers came within this time.
    pub(super) p50_us: f64,
    /// 99 of 100 answers came within this time.
    pub(super) p99_us: f64,
    broken: u64,
    refused: u64,
    timed_out: u64,
    checked: u64,
    not_created: u64,
}

impl Figures {
    /// Returns answers per second.
    pub(super) fn rate(&self) -> f64 {
        self.requests as f64 * 1e6 / self.duration_us.max(1) as f64
    }
}

/// One run of wrk: the script `place.lua` with one thread.
pub(super) struct Load {
    /// How many callers wait for an answer each.
    pub(super) connections: u32,
    /// For how long.
    pub(super) time: Duration,
    /// A number that no other run against the same server has.
    pub(super) salt: u32,
    /// Whether every answer's status is looked at; otherwise only errors are counted.
    pub(super) check: bool,
}

impl Load {
    /// Sends it, and fails if any answer was not the right one.
    pub(super) fn send(&self, url: &str) -> Result<Figures> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.time.as_secs())])
            .args(["--timeout", &format!("{ANSWERED_WITHIN_SECONDS}s")])
            .arg("--script")
            .arg(script())
            .args([url, "--", &self.salt.to_string()]);
        if self.check {
            wrk.arg("check");
        }
        let printed = output(&mut wrk)?;
        let figures = read(&printed)?;
        self.judge(&figures, &printed)?;
        Ok(figures)
    }

    fn judge(&self, figures: &Figures, printed: &str) -> Result<()> {
        let wrong = [
            (figures.refused, "answered with an error status"),
            (figures.not_created, "answered, but not with 201"),
            (figures.broken, "broken connections"),
            (figures.timed_out, "timed out"),
        ];
        for (count, what) in wrong {
            ensure!(
                count == 0,
                "{count} requests: {what}; wrk printed:\n{printed}"
            );
        }
        ensure!(
            figures.requests > 0,
            "no request was answered; wrk printed:\n{printed}"
        );
        ensure!(
            !self.check || figures.checked > 0,
            "no answer was looked at; wrk printed:\n{printed}"
        );
        Ok(())
    }
}

fn script() -> PathBuf {
    root().join("crates/xtask/src/bench/place.lua")
}

fn read(printed: &str) -> Result<Figures> {
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix("FIGURES "));
    let line = line.with_context(|| format!("wrk gave no figures; it printed:\n{printed}"))?;
    serde_json::from_str(line).with_context(|| format!("wrk gave `{line}`"))
}

/// Makes sure that wrk is there: where it can be installed without asking, it is.
pub(super) fn require_wrk() -> Result<()> {
    if runs("wrk", "-v") {
        return Ok(());
    }
    const INSTALL: &str = "apt-get install -y wrk";
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !runs("apt-get", "--version") {
        bail!("the load generator `wrk` is missing; on Debian: sudo {INSTALL}");
    }
    println!("the load generator `wrk` is missing: {INSTALL}");
    let mut parts = INSTALL.split(' ');
    let program = parts.next().expect("the command has a program");
    output(Command::new(program).args(parts))?;
    ensure!(runs("wrk", "-v"), "`wrk` is still missing");
    Ok(())
}

fn runs(program: &str, argument: &str) -> bool {
    // wrk -v prints its version and ends with 1; that it could be started is what counts.
    Command::new(program).arg(argument).output().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"Running 1s test
  1 threads and 8 connections

FIGURES {"requests":500,"duration_us":2000000,"p50_us":80,"p99_us":900,"max_us":1200,"broken":0,"refused":0,"timed_out":0,"checked":0,"not_created":0}
"#;

    fn load(check: bool) -> Load {
        Load {
            connections: 8,
            time: Duration::from_secs(1),
            salt: 1,
            check,
        }
    }

    #[test]
    fn the_line_of_the_script_is_read() {
        let figures = read(PRINTED).unwrap();
        assert_eq!(figures.rate(), 250.0);
        assert!(load(false).judge(&figures, PRINTED).is_ok());
        assert!(read("nothing").is_err());
    }

    #[test]
    fn a_single_wrong_answer_is_a_failure() {
        for wrong in ["refused", "not_created", "broken", "timed_out"] {
            let printed = PRINTED.replace(&format!("\"{wrong}\":0"), &format!("\"{wrong}\":1"));
            assert!(
                load(false)
                    .judge(&read(&printed).unwrap(), &printed)
                    .is_err()
            );
        }
        let unchecked = read(PRINTED).unwrap();
        assert!(load(true).judge(&unchecked, PRINTED).is_err());
    }
}
