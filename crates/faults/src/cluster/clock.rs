//! Clocks of nodes, which can be set.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// What is preloaded into every node.
const SOURCE: &str = include_str!("clock.c");

/// Builds what is preloaded, and returns where it is.
///
/// # Errors
/// When there is no C compiler, or it fails.
pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
    fs::write(&source, SOURCE)?;
    let built = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .context("`cc` cannot be started: a C compiler is needed to shift a node's clock")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "`cc` has failed:\n{said}");
    Ok(library)
}

/// The clock of one node.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) path: PathBuf,
}

impl Clock {
    /// # Errors
    /// When its file cannot be written.
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        let clock = Self { path };
        clock.shift_ms(0)?;
        Ok(clock)
    }

    /// Sets it to the true time and so many milliseconds.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub(super) fn shift_ms(&self, ms: i64) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        let mut options = fs::OpenOptions::new();
        // Written in place: the node has it mapped.
        let file = options.write(true).create(true).truncate(false);
        let file = file.open(&self.path)?;
        file.write_all_at(&(ms * 1_000_000).to_ne_bytes(), 0)?;
        Ok(())
    }
}
