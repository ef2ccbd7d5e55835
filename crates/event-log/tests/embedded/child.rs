//! Tests that need a process of their own: this binary again, for one test.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

const DIR: &str = "FOLDLINE_TEST_CHILD_DIR";

/// Returns the directory a child is to work in; `None` in the test run itself.
pub(crate) fn dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// Prepares a run of one test of this binary as a child that works in a directory.
///
/// `shell` is what a shell does first in that process, such as setting a limit.
pub(crate) fn command(test: &str, dir: &Path, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{shell}exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DIR, dir);
    command
}

/// Runs it to its end and returns what it printed.
pub(crate) fn run(test: &str, dir: &Path, shell: &str) -> (Output, String) {
    let output = command(test, dir, shell).output().unwrap();
    let printed = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8_lossy(&printed).into_owned())
}
