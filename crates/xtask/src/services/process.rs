//! A process of ours, told apart from a later one that was given the same number.

use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};

/// How often a wait looks again.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(25);

/// For how long what has ended may go on to have its number and its ports.
pub(super) const PUT_AWAY_MAX: Duration = Duration::from_secs(5);

/// For how long a process may outlive KILL: the kernel is freeing its memory.
const KILLED_MAX: Duration = Duration::from_secs(5);

/// A process by its number and its birth; a number alone is given out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// The process id.
    pub(super) pid: i32,
    /// When it began: on Linux the boot and the clock ticks since, elsewhere what `ps` says.
    born: String,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was gone before.
    Before,
    /// Upon the first signal.
    Gently,
    /// It had to be killed.
    Killed,
}

impl Process {
    /// Returns the process that has this number now; `None` if it has ended.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let born = if has_proc() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
            format!("{} {}", boot.trim(), ticks_at_birth(&stat)?)
        } else {
            let shown = ps(&["-o", "stat=,lstart=", "-p", &pid.to_string()])?;
            let (state, born) = shown.trim().split_once(char::is_whitespace)?;
            (!state.starts_with('Z')).then(|| born.trim().to_owned())?
        };
        Some(Self { pid, born })
    }

    /// Whether it still runs: the same process, not one that has its number.
    pub(super) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Waits until nothing has its number any more: until then, others take what has ended and was
    /// not put away yet for a process that runs. Not every system's first process puts away.
    pub(super) fn wait_until_put_away(&self) {
        let began = Instant::now();
        while began.elapsed() < PUT_AWAY_MAX
            && Pid::from_raw(self.pid).is_some_and(|pid| test_kill_process(pid).is_ok())
            && Self::of(self.pid).is_none()
        {
            sleep(LOOK_EVERY);
        }
    }

    /// Ends it: `signal` first, KILL if it is not gone after `patience`.
    pub(super) fn end(&self, signal: Signal, patience: Duration) -> End {
        if !self.is_alive() {
            return End::Before;
        }
        self.send(signal);
        if self.is_gone_within(patience) {
            return End::Gently;
        }
        self.send(Signal::KILL);
        self.is_gone_within(KILLED_MAX);
        End::Killed
    }

    /// Returns the memory of the process and its children, shared pages counted once, in bytes.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        if !self.is_alive() {
            return None;
        }
        if has_proc() {
            let family = children(self.pid).chain([self.pid]);
            return Some(family.filter_map(resident_of).sum());
        }
        let shown = ps(&["-A", "-o", "pid=,ppid=,rss="])?;
        let rows = shown.lines().filter_map(|line| {
            let mut words = line.split_whitespace().map(str::parse::<i64>);
            Some((
                words.next()?.ok()?,
                words.next()?.ok()?,
                words.next()?.ok()?,
            ))
        });
        let own = i64::from(self.pid);
        let family = rows.filter(|(pid, parent, _)| *pid == own || *parent == own);
        let kilobytes: i64 = family.map(|(_, _, kilobytes)| kilobytes).sum();
        u64::try_from(kilobytes)
            .ok()
            .map(|kilobytes| kilobytes * 1024)
    }

    fn send(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // It may have ended since; that is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }

    fn is_gone_within(&self, bound: Duration) -> bool {
        let began = Instant::now();
        while self.is_alive() {
            if began.elapsed() > bound {
                return false;
            }
            sleep(LOOK_EVERY);
        }
        true
    }
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Field 22 of `/proc/<pid>/stat` (`proc(5)`); `None` for a process that has ended and only waits
/// to be asked how.
fn ticks_at_birth(stat: &str) -> Option<&str> {
    // The second field is the name in brackets and may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    words.nth(18)
}

fn children(parent: i32) -> impl Iterator<Item = i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(move |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    })
}

/// The proportional set size: a page that several processes share counts once in their sum.
fn resident_of(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn ps(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ps").args(arguments).output().ok()?;
    let shown = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !shown.trim().is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) S (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 98";
        assert_eq!(ticks_at_birth(stat), Some("4711"));
        let ended = stat.replace(") S 1", ") Z 1");
        assert_eq!(ticks_at_birth(&ended), None);
    }

    #[test]
    fn a_recycled_number_is_another_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let now = Process::of(own).unwrap();
        assert!(now.is_alive());
        assert!(now.resident_bytes().unwrap() > 0);

        let before = Process {
            born: "another boot 1".to_owned(),
            ..now
        };
        assert!(!before.is_alive());
        // This test would not survive it, were the birth not looked at.
        assert_eq!(before.end(Signal::KILL, Duration::ZERO), End::Before);
    }

    #[test]
    fn a_child_ends_upon_the_signal_and_is_then_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(process.end(Signal::TERM, KILLED_MAX), End::Gently);
        assert_eq!(process.end(Signal::TERM, KILLED_MAX), End::Before);
        child.wait().unwrap();
    }

    #[test]
    fn a_child_that_does_not_listen_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        let patience = Duration::from_millis(50);
        // A signal that is ignored unless asked for.
        assert_eq!(process.end(Signal::CHILD, patience), End::Killed);
        child.wait().unwrap();
    }
}
