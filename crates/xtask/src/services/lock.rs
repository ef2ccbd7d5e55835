//! Files that keep two calls of this program from doing the same thing at once.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{note, process::LOOK_EVERY};

/// For how long one call waits for another: as long as that may fetch and start everything.
const LOCK_MAX: Duration = Duration::from_secs(1_200);

/// A locked file; dropping it unlocks, and so does the end of the process, whatever ends it.
pub(crate) struct Lock(File);

impl Lock {
    /// Locks a file, alone; waits for whoever has it.
    ///
    /// # Errors
    /// When the file cannot be opened, or is not unlocked in time.
    pub(crate) fn take(path: &Path, what: &str) -> Result<Self> {
        Self::wait(path, what, File::try_lock)
    }

    /// Locks a file together with others that share it.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn share(path: &Path, what: &str) -> Result<Self> {
        Self::wait(path, what, File::try_lock_shared)
    }

    /// Gives up a share; returns the lock again, alone, if nobody else has a share.
    pub(super) fn alone(self) -> Option<Self> {
        // Unlocked first: of two who give up their shares at once, at least one succeeds.
        self.0.unlock().ok()?;
        self.0.try_lock().ok()?;
        Some(self)
    }

    fn wait(
        path: &Path,
        what: &str,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self> {
        let shown = path.display();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {shown}"))?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match lock(&file) {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {shown}"));
                }
                Err(TryLockError::WouldBlock) if began.elapsed() > LOCK_MAX => {
                    bail!("{what} of another call has not ended ({shown} is locked)");
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if !told {
                note(&format!("waiting for {what} of another call"));
                told = true;
            }
            sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_those_who_share_gets_it_alone() {
        let path = std::env::temp_dir().join(format!("foldline-lock-{}", std::process::id()));
        let first = Lock::share(&path, "a test").unwrap();
        let second = Lock::share(&path, "a test").unwrap();
        assert!(first.alone().is_none());
        let alone = second.alone();
        assert!(alone.is_some());
        drop(alone);
        std::fs::remove_file(path).unwrap();
    }
}
