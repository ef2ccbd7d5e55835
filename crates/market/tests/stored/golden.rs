//! Files that a test compares with what the program makes.

use std::path::{Path, PathBuf};

/// The directory of the recorded events.
pub(crate) fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/goldens")
}

/// The directory of the JSON Schemas, at the root of the workspace.
pub(crate) fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// Whether the files are to be written rather than compared.
pub(crate) fn written() -> bool {
    std::env::var("FOLDLINE_GOLDENS").is_ok_and(|mode| mode == "write")
}

/// Asserts that a golden is what the program makes, or writes it.
#[track_caller]
pub(crate) fn check(path: &Path, made: &str) {
    if written() {
        std::fs::write(path, made).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let kept = read(path);
    assert!(
        kept == made,
        "{} is not what the program makes; if the change is meant, `cargo xtask goldens` writes \
         it anew\n--- kept\n{kept}\n--- made\n{made}",
        path.display()
    );
}

/// Reads a golden.
#[track_caller]
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `cargo xtask goldens` writes goldens anew",
            path.display()
        )
    })
}

/// Returns the names of the JSON files in a directory, without their ending.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let names = entries.filter_map(|entry| {
        let name = entry
            .expect("an entry of a directory")
            .file_name()
            .into_string()
            .ok()?;
        Some(name.strip_suffix(".json")?.to_owned())
    });
    names.collect()
}
