//! A process of a cluster: started, stopped, killed, and never left behind.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How many lines of what it printed are shown when it has ended by itself.
const TAIL_LINES: usize = 15;

/// A process that may be there.
#[derive(Debug)]
pub(super) struct Process {
    child: Option<Child>,
    printed: PathBuf,
}

impl Process {
    /// One that is not there yet; what it will print goes to this file.
    pub(super) fn new(printed: PathBuf) -> Self {
        Self {
            child: None,
            printed,
        }
    }

    /// Starts it. It stays in the group of this program, so that whoever ends the group ends it
    /// too.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self, command: &mut Command) -> Result<()> {
        self.kill();
        let printed = File::options()
            .create(true)
            .append(true)
            .open(&self.printed)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .spawn()
            .with_context(|| format!("{} cannot be started", shown(command)))?;
        self.child = Some(child);
        Ok(())
    }

    /// Ends it at once, whatever it is at, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().map(Child::id);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // A child that has ended keeps its number until it is waited for, so that this is it.
            let _ = kill_process(pid, signal);
        }
    }

    pub(super) fn is_running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The last lines that it printed.
    pub(super) fn tail(&self) -> String {
        tail(&self.printed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn shown(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
