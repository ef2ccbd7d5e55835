//! A file system of a few mebibytes.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

/// Set where a test runs in a user namespace of its own.
const INSIDE: &str = "DURABILITY_INSIDE";
const NEEDED: &str = "a full disk is tested on a small tmpfs: run the tests as root, or let this \
                      user make user namespaces (`unshare -rm true` must work)";

/// A tmpfs of limited size, half of it taken up by somebody else; gone when this is.
pub(crate) struct Room {
    _home: TempDir,
    path: PathBuf,
}

impl Room {
    /// Mounts one that has this much left, or says why not.
    fn mount(mebibytes: usize) -> Result<Self, String> {
        let home = TempDir::new().expect("a temporary directory");
        let path = home.path().join("room");
        fs::create_dir(&path).expect("a directory");
        let size = format!("size={}m", 2 * mebibytes);
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path))?;
        let room = Self { _home: home, path };
        fs::write(room.somebody_elses(), vec![0; mebibytes << 20]).expect("there is room for it");
        Ok(room)
    }

    /// Removes what somebody else has there.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.somebody_elses()).expect("it is there");
    }

    /// Where a node may have its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn somebody_elses(&self) -> PathBuf {
        self.path.join("somebody-elses")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Lazily: a node that is about to be killed may still have files open in it.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

/// Gives a test its room. Where this user may not mount anything, the test runs again in a user
/// namespace in which it may, and there is nothing left to do here.
pub(crate) fn room(test: &str, mebibytes: usize) -> Option<Room> {
    let refused = match Room::mount(mebibytes) {
        Ok(room) => return Some(room),
        Err(refused) => refused,
    };
    assert!(std::env::var_os(INSIDE).is_none(), "{NEEDED}\n{refused}");
    let tests = std::env::current_exe().expect("the path of the tests");
    let mut again = Command::new("unshare");
    again
        .arg("-rm")
        .arg(tests)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let status = again
        .status()
        .unwrap_or_else(|error| panic!("{NEEDED}\n{refused}\n{error}"));
    assert!(
        status.success(),
        "{NEEDED}\n{refused}\nin a user namespace: {status}"
    );
    None
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| format!("{command:?}: {errors}"))
}
