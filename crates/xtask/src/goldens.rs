//! `cargo xtask goldens`: every golden file written anew by the test that compares it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    test,
    workspace::{TEST_FEATURES, cargo, output, root},
};

/// Files by path, each with a hash of its content.
type Files = BTreeMap<String, u64>;

/// Runs the tests so that they write what they would compare, and lists the files that changed.
///
/// # Errors
/// When a test fails for another reason, or git cannot list the files.
pub(crate) fn run() -> Result<()> {
    let before = fingerprints()?;
    let features = ["test", "--workspace", "--features", TEST_FEATURES];
    let mut tests = cargo(&features);
    tests
        .arg("--no-fail-fast")
        .env("FOLDLINE_GOLDENS", "write")
        .env("INSTA_UPDATE", "always");
    let tested = test::run_with_servers(&mut tests);
    let after = fingerprints()?;
    print_changes(&before, &after);
    tested.context("the golden files are written, but not every test passed")
}

fn print_changes(before: &Files, after: &Files) {
    let changes = changes(before, after);
    if changes.is_empty() {
        println!("\nno golden file changed");
        return;
    }
    println!("\nLook at each change before you commit it (git diff):");
    for (what, path) in changes {
        println!("{what:<8} {path}");
    }
}

fn changes<'a>(before: &'a Files, after: &'a Files) -> Vec<(&'static str, &'a str)> {
    let written = after
        .iter()
        .filter(|&(path, hash)| before.get(path) != Some(hash))
        .map(|(path, _)| match before.contains_key(path) {
            true => ("changed", path.as_str()),
            false => ("new", path.as_str()),
        });
    let gone = before
        .keys()
        .filter(|path| !after.contains_key(*path))
        .map(|path| ("gone", path.as_str()));
    written.chain(gone).collect()
}

/// Every file that git knows or would add, with a hash of its content: a golden that was already
/// edited and changes once more is told too, which `git status` alone would not do.
fn fingerprints() -> Result<Files> {
    let mut list = Command::new("git");
    list.current_dir(root()).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let names = output(&mut list)?;
    let hashes = names.split_terminator('\0').filter_map(|name| {
        // A file that git knows and that is not there has been removed.
        let content = std::fs::read(root().join(name)).ok()?;
        let mut hash = DefaultHasher::new();
        content.hash(&mut hash);
        Some((name.to_owned(), hash.finish()))
    });
    Ok(hashes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_already_edited_and_changes_again_is_told() {
        let files = |files: &[(&str, u64)]| -> Files {
            let files = files.iter();
            files
                .map(|(path, hash)| ((*path).to_owned(), *hash))
                .collect()
        };
        let before = files(&[("a", 1), ("b", 1), ("c", 1)]);
        let after = files(&[("a", 1), ("b", 2), ("d", 1)]);
        let expected = [("changed", "b"), ("new", "d"), ("gone", "c")];
        assert_eq!(changes(&before, &after), expected);
    }
}
