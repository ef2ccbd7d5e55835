//! Ctrl-C and its like, noticed instead of died of, where something must be put away first.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::process::LOOK_EVERY;
use crate::workspace::shown;

/// For how long a program may go on after it was told to end.
const END_MAX: Duration = Duration::from_secs(10);

/// Whether this program was told to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, INT, TERM and HUP are noticed here and end nothing by themselves.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub(crate) fn catch() -> Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))
                .context("cannot catch signals")?;
        }
        Ok(interrupt)
    }

    /// Fails once this program was told to end.
    ///
    /// # Errors
    /// Then.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.0.load(Relaxed), "interrupted");
        Ok(())
    }

    /// Runs a program to its end, its output passed through; told to end, it ends the program and
    /// all that the program has started.
    ///
    /// # Errors
    /// When it cannot be started, does not end well, or this program was told to end.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let shown = shown(command);
        // A group of its own: cargo dies of a TERM, and the tests it runs would live on.
        let mut child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("`{shown}` cannot be started"))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.context("a process without a number")?;
        let mut told = None;
        loop {
            if let Some(status) = child.try_wait().context("cannot wait for a child")? {
                if told.is_some() {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                self.check()?;
                if !status.success() {
                    bail!("`{shown}` ended with {status}");
                }
                return Ok(());
            }
            match told {
                None if self.check().is_err() => {
                    let _ = kill_process_group(group, Signal::TERM);
                    told = Some(Instant::now());
                }
                Some(when) if when.elapsed() > END_MAX => {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                _ => {}
            }
            sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_to_end_it_ends_the_program_and_its_children() {
        let interrupt = Interrupt::default();
        interrupt.0.store(true, Relaxed);
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]);
        let began = Instant::now();
        let error = interrupt.run(&mut command).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
        assert!(began.elapsed() < END_MAX);
    }

    #[test]
    fn a_program_that_fails_is_named() {
        let error = Interrupt::default().run(&mut Command::new("false"));
        assert!(error.unwrap_err().to_string().starts_with("`false` ended"));
    }
}
