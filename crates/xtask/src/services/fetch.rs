//! Fetches a server's programs once, with Maven, into a cache outside the tree.
//!
//! They are made aside and renamed when whole: what has its name in the cache is complete.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result};

use super::{
    home,
    interrupt::Interrupt,
    lock::Lock,
    maven, note,
    programs::{JAVA, MAVEN, TAR, XZ, require},
    record::Engine,
    server::Server,
};
use crate::workspace::run;

/// What was asked of Maven; it stays with what came.
const POM: &str = "pom.xml";

/// What Maven is to fetch for a server.
pub(super) struct Package {
    /// `group:artifact:version`; what they depend on comes with them.
    pub(super) artifacts: Vec<String>,
    /// About how much it is.
    pub(super) megabytes: u32,
    /// An archive inside the artifact that holds the programs; `None` where jars are the programs.
    pub(super) archive: Option<&'static str>,
}

/// Returns the directory of a server's programs, fetched now if they are not there.
///
/// # Errors
/// When Maven is missing or fails, or the cache cannot be written.
pub(super) fn programs(server: Server, interrupt: &Interrupt) -> Result<PathBuf> {
    let cache = home::cache(server)?;
    let name = format!("{server}-{}", server.version(Engine::Native));
    let whole = cache.join(&name);
    let package = server.package()?;
    let project = maven::project(&package.artifacts);
    let is_there = || fs::read_to_string(whole.join(POM)).is_ok_and(|found| found == project);
    if is_there() {
        return Ok(whole);
    }
    let _lock = Lock::take(&cache.join("lock"), "a fetch")?;
    // Somebody else may have fetched it while this one waited.
    if is_there() {
        return Ok(whole);
    }
    require(&[JAVA, MAVEN])?;
    if package.archive.is_some() {
        require(&[TAR, XZ])?;
    }
    remove_remains(&cache, &name)?;
    let aside = cache.join(format!("{name}.part-{}", std::process::id()));
    fs::create_dir(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    // Another account may have to run what is in it.
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755))?;
    fs::write(aside.join(POM), project)?;
    fetch(server, &package, &aside, interrupt)?;
    // The name must not outlive a power cut that what has it does not.
    rustix::fs::sync();
    if whole.exists() {
        // Of the same version, and not what is wanted today.
        fs::remove_dir_all(&whole).with_context(|| format!("cannot remove {}", whole.display()))?;
    }
    fs::rename(&aside, &whole).with_context(|| format!("cannot make {}", whole.display()))?;
    Ok(whole)
}

/// Removes what fetches left behind that were cut off; the lock says that none is under way.
fn remove_remains(cache: &Path, name: &str) -> Result<()> {
    let prefix = format!("{name}.part-");
    for entry in fs::read_dir(cache)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            note(&format!(
                "removing what is left of a fetch: {}",
                entry.path().display()
            ));
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn fetch(server: Server, package: &Package, aside: &Path, interrupt: &Interrupt) -> Result<()> {
    let version = server.version(Engine::Native);
    let megabytes = package.megabytes;
    note(&format!(
        "{server} {version}: fetching about {megabytes} MB with Maven, this once"
    ));
    let began = Instant::now();
    let goal = if package.archive.is_some() {
        "unpack-dependencies"
    } else {
        "copy-dependencies"
    };
    maven::run(goal, server, &aside.join(POM), aside, interrupt)?;
    if let Some(archive) = package.archive {
        unpack(aside, archive)?;
    }
    let took = began.elapsed().as_secs_f64();
    note(&format!("{server} {version}: fetched in {took:.0} s"));
    Ok(())
}

fn unpack(aside: &Path, archive: &str) -> Result<()> {
    let archive = aside.join(archive);
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(&archive).arg("-C").arg(aside);
    run(&mut tar)?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}
