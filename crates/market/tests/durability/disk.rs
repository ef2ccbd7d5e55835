//! A disk that can lose its power: the library that notes, and the playing back of its notes.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use rand::{RngExt, rngs::StdRng};
use tempfile::TempDir;

use crate::node::Node;

/// A directory of data whose unsynced part can be lost.
pub(crate) struct Disk {
    home: TempDir,
    /// Below which everything that is done is noted.
    root: PathBuf,
    data: PathBuf,
    lies: bool,
}

/// What becomes of what a file holds unsynced: any of it may have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All of it is lost.
    Lost,
    /// All of it had been written, by chance.
    Kept,
    /// The first so many changes had been written, drawn by chance.
    Some,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let home = TempDir::new().expect("a temporary directory");
        // The kernel resolves what the library compares, and a temporary directory may be a link.
        let root = home
            .path()
            .canonicalize()
            .expect("it is there")
            .join("disk");
        for directory in [&root, &home.path().join("notes")] {
            fs::create_dir(directory).expect("a directory");
        }
        let data = root.join("data");
        Self {
            home,
            root,
            data,
            lies: false,
        }
    }

    /// A disk that says it has synced the log's data, and has not.
    pub(crate) fn lying() -> Self {
        Self {
            lies: true,
            ..Self::new()
        }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn trace(&self) -> PathBuf {
        self.home.path().join("trace")
    }

    fn notes(&self) -> PathBuf {
        self.home.path().join("notes")
    }

    /// A node whose data lies on this disk, ready to serve.
    pub(crate) async fn start(&self) -> Node {
        let mut node = self.spawn();
        let ready = node.until_ready().await;
        ready.unwrap_or_else(|ended| panic!("the node did not start: {ended:?}"));
        node
    }

    /// The same, not waited for.
    pub(crate) fn spawn(&self) -> Node {
        let (notes, trace) = (self.notes(), self.trace());
        let mut set = vec![
            ("LD_PRELOAD", library()),
            ("UNSYNCED_ROOT", &self.root),
            ("UNSYNCED_NOTES", &notes),
            ("UNSYNCED_TRACE", &trace),
        ];
        if self.lies {
            set.push(("UNSYNCED_LIE", Path::new("1")));
        }
        Node::spawn(&self.data, &set)
    }

    /// The machine loses its power: of what was not synced each file keeps what its fate says.
    pub(crate) fn lose_power(
        &self,
        dice: &mut StdRng,
        mut fate: impl FnMut(&Path, &mut StdRng) -> Fate,
    ) {
        let mut files = HashMap::new();
        find_files(&self.root, &mut files);
        let mut notes: Vec<_> = entries(&self.notes());
        // Sorted, so that a seed brings the same fates; files first, while they have their names.
        notes.sort_by_key(|notes| (!name(notes).starts_with('f'), name(notes).to_owned()));
        for notes in notes {
            let (kind, inode) = name(&notes).split_at(1);
            // A file that was removed meanwhile has nothing left to lose.
            if let Some(path) = files.get(&inode.parse().expect("an inode")) {
                let bytes = fs::read(&notes).expect("notes");
                let fate = fate(path, dice);
                match kind {
                    "f" => undo_writes(path, &bytes, dice, fate),
                    _ => undo_creations(path, &bytes, dice, fate),
                }
            }
            fs::remove_file(notes).expect("notes");
        }
    }
}

/// Puts back what a file held, the last change first.
fn undo_writes(path: &Path, mut notes: &[u8], dice: &mut StdRng, fate: Fate) {
    let mut changes = Vec::new();
    while let Some((head, rest)) = notes.split_first_chunk::<24>() {
        let number = |at| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let bytes = usize::try_from(number(16)).expect("what was written in one call");
        let (before, rest) = rest.split_at(bytes);
        changes.push((number(0), number(8), before));
        notes = rest;
    }
    let file = File::options()
        .write(true)
        .open(path)
        .expect("a file of ours");
    let kept = kept(changes.len(), dice, fate);
    for (offset, size, before) in changes.into_iter().skip(kept).rev() {
        file.write_all_at(before, offset).expect("a file of ours");
        file.set_len(size).expect("a file of ours");
    }
}

/// Removes what had no name on the disk yet.
fn undo_creations(directory: &Path, notes: &[u8], dice: &mut StdRng, fate: Fate) {
    let names: Vec<_> = notes
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .collect();
    let kept = kept(names.len(), dice, fate);
    for name in names.into_iter().skip(kept) {
        let name = std::str::from_utf8(name).expect("our names are text");
        let path = directory.join(name);
        // It may have been removed or renamed since.
        let _ = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
    }
}

fn kept(changes: usize, dice: &mut StdRng, fate: Fate) -> usize {
    match fate {
        Fate::Lost => 0,
        Fate::Kept => changes,
        Fate::Some => dice.random_range(0..=changes),
    }
}

fn find_files(directory: &Path, files: &mut HashMap<u64, PathBuf>) {
    let metadata = fs::metadata(directory).expect("a directory of ours");
    files.insert(metadata.ino(), directory.to_owned());
    for path in entries(directory) {
        let metadata = fs::metadata(&path).expect("a file of ours");
        if metadata.is_dir() {
            find_files(&path, files);
        } else {
            files.insert(metadata.ino(), path);
        }
    }
}

/// What a directory contains.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// The library, compiled once per run.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durability/unsynced.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unsynced.so");
        // Another run may have it loaded, so it is replaced and not written to.
        let new = library.with_extension(std::process::id().to_string());
        let compiled = Command::new("cc")
            .args([
                "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread", "-o",
            ])
            .args([&new, Path::new(source)])
            .output()
            .expect("`cc` is there, since Rust links with it; install gcc or clang");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(
            compiled.status.success(),
            "unsynced.c does not compile:\n{said}"
        );
        fs::rename(new, &library).expect("the directory of the build is ours");
        library
    })
}
