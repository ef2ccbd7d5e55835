//! Where one server's files lie while it runs natively, and as whom it runs.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;

use super::{ports::Ports, programs::Java, record::Places, server::Server};
use crate::workspace::{output, root};

/// Everything a server's configuration and command line depend on.
pub(super) struct Home {
    /// What was fetched: programs and libraries.
    pub(super) programs: PathBuf,
    /// Configuration, log and temporary files.
    pub(super) state: PathBuf,
    /// Its data, empty at first.
    pub(super) data: PathBuf,
    /// Where it listens.
    pub(super) ports: Ports,
    /// Whether it compiles fully, for benchmarks.
    pub(super) jit: bool,
    /// The Java that runs it; `None` for a server that needs none.
    pub(super) java: Option<Java>,
    /// As whom it runs, where that is not the caller.
    pub(super) user: Option<User>,
}

/// An account of the system.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// Returns as whom a server must run, where that is not the caller: Postgres refuses root.
    ///
    /// # Errors
    /// When the system has no such account.
    pub(super) fn of(server: Server) -> Result<Option<Self>> {
        if !needs_another(server) {
            return Ok(None);
        }
        let id = |option| -> Result<u32> {
            let shown = output(Command::new("id").args([option, "nobody"]))?;
            shown.trim().parse().context("`id` printed no number")
        };
        Ok(Some(Self {
            uid: id("-u")?,
            gid: id("-g")?,
        }))
    }
}

/// Returns every place where a server's data may lie: by its state, or where others may go.
pub(super) fn data_places(places: &Places, server: Server) -> Vec<PathBuf> {
    let mut all = vec![places.of(server).join("data")];
    if needs_another(server) {
        all.push(open_path().join(checkout()).join(server.name()));
    }
    all
}

/// Returns where a server's data goes: by its state if its user gets there, else where all do.
///
/// # Errors
/// When a directory cannot be made.
pub(super) fn data_place(places: &Places, server: Server) -> Result<PathBuf> {
    let [first, rest @ ..] = &*data_places(places, server) else {
        bail!("{server} has no place for data");
    };
    match rest.first() {
        Some(open) if !is_open(&places.of(server)) => {
            let parent = open_place()?.join(checkout());
            fs::create_dir_all(&parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
            Ok(open.clone())
        }
        _ => Ok(first.clone()),
    }
}

/// Returns where programs are kept: the cache, or a place that the server's user can reach.
///
/// # Errors
/// When there is no home directory, or a directory cannot be made.
pub(super) fn cache(server: Server) -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: no place for a cache")?;
    let cache = base.join("foldline/services");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    if needs_another(server) && !is_open(&cache) {
        return open_place();
    }
    Ok(cache)
}

fn needs_another(server: Server) -> bool {
    server == Server::Postgres && geteuid().is_root()
}

/// Whether every account may pass through a directory and all above it.
fn is_open(directory: &Path) -> bool {
    /// The bit that lets others pass.
    const OTHERS_PASS: u32 = 0o001;
    directory.ancestors().all(|directory| {
        fs::metadata(directory).is_ok_and(|it| it.permissions().mode() & OTHERS_PASS != 0)
    })
}

fn open_path() -> PathBuf {
    std::env::temp_dir().join("foldline-services")
}

/// Makes the directory that all may pass and only root may write.
fn open_place() -> Result<PathBuf> {
    const MODE: u32 = 0o755;
    let path = open_path();
    // Made new or not at all: whoever made it first could have put anything there.
    match fs::DirBuilder::new().mode(MODE).create(&path) {
        Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(MODE))
            .with_context(|| format!("cannot open {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
    let found = fs::symlink_metadata(&path)?;
    ensure!(
        found.is_dir() && found.uid() == 0 && found.mode() & 0o022 == 0,
        "{} is not root's alone: remove it",
        path.display(),
    );
    Ok(path)
}

/// A name for this checkout, made of its path.
pub(super) fn checkout() -> String {
    let path = root().to_string_lossy().to_lowercase();
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A home for tests of configurations.
    pub(in crate::services) fn home(jit: bool) -> Home {
        Home {
            programs: "/programs".into(),
            state: "/state".into(),
            data: "/data".into(),
            ports: Ports::default(),
            jit,
            java: None,
            user: None,
        }
    }

    #[test]
    fn a_directory_below_a_closed_one_is_closed() {
        let base = std::env::temp_dir().join(format!("foldline-home-{}", std::process::id()));
        let inner = base.join("closed/open");
        fs::create_dir_all(&inner).unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&base, 0o755);
        mode(&inner, 0o755);
        mode(&base.join("closed"), 0o700);
        assert!(!is_open(&inner));
        mode(&base.join("closed"), 0o711);
        assert!(is_open(&inner));
        fs::remove_dir_all(base).unwrap();
    }
}
