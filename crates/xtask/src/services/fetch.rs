//! Fetches a server's programs once, with Maven, into a cache outside the tree.
//!
//! They are made aside and renamed when whole: what has its name in the cache is complete.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    home,
    lock::Lock,
    note,
    process::LOOK_EVERY,
    programs::{JAVA, MAVEN, TAR, XZ, require},
    record::Engine,
    server::Server,
    tail::Tail,
};
use crate::workspace::run;

/// The plugin of Maven that copies dependencies.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// What was asked of Maven; it stays with what came.
const POM: &str = "pom.xml";

/// For how long one fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(900);

/// How often a fetch tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

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
pub(super) fn programs(server: Server) -> Result<PathBuf> {
    let cache = home::cache(server)?;
    let name = format!("{server}-{}", server.version(Engine::Native));
    let whole = cache.join(&name);
    let package = server.package()?;
    let project = pom(&package.artifacts);
    let is_there = || fs::read_to_string(whole.join(POM)).is_ok_and(|found| found == project);
    if is_there() {
        return Ok(whole);
    }
    let _lock = Lock::take(&cache.join("lock"), "a fetch")?;
    // Somebody else may have fetched it while this one waited.
    if is_there() {
        return Ok(whole);
    }
    remove_remains(&cache, &name)?;
    let aside = cache.join(format!("{name}.part-{}", std::process::id()));
    fs::create_dir(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    // Another account may have to run what is in it.
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755))?;
    fs::write(aside.join(POM), project)?;
    fetch(server, &package, &aside)?;
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

fn fetch(server: Server, package: &Package, aside: &Path) -> Result<()> {
    require(&[JAVA, MAVEN])?;
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
    let mut maven = Command::new("mvn");
    maven
        // Strict: what does not have its checksum is not taken.
        .args(["--batch-mode", "--strict-checksums", "-Dstyle.color=never"])
        .arg("--file")
        .arg(aside.join(POM))
        .arg(format!("{PLUGIN}:{goal}"))
        .arg(format!("-DoutputDirectory={}", aside.display()))
        .arg("-DincludeScope=runtime");
    follow(server, &mut maven)?;
    if let Some(archive) = package.archive {
        unpack(aside, archive)?;
    }
    let took = began.elapsed().as_secs_f64();
    note(&format!("{server} {version}: fetched in {took:.0} s"));
    Ok(())
}

fn unpack(aside: &Path, archive: &str) -> Result<()> {
    require(&[TAR, XZ])?;
    let archive = aside.join(archive);
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(&archive).arg("-C").arg(aside);
    run(&mut tar)?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// Runs Maven, tells now and then how far it is, and shows its last words if it fails.
fn follow(server: Server, maven: &mut Command) -> Result<()> {
    let mut child = maven
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("`mvn` cannot be started")?;
    let output = child.stdout.take().expect("it is piped");
    let said = Arc::new(Mutex::new((0_u32, Tail::default())));
    let hears = Arc::clone(&said);
    let listener = thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut said = hears.lock().expect("nobody panics with it");
            said.0 += u32::from(line.contains("Downloaded from"));
            said.1.push(line);
        }
    });
    let (began, mut told) = (Instant::now(), Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for `mvn`")? {
            break status;
        }
        if began.elapsed() > FETCH_MAX {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "Maven had not fetched {server} after {} s",
                FETCH_MAX.as_secs()
            );
        }
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            let files = said.lock().expect("nobody panics with it").0;
            let seconds = began.elapsed().as_secs();
            note(&format!("{server}: {files} files after {seconds} s"));
        }
        sleep(LOOK_EVERY);
    };
    listener.join().expect("it only collects lines");
    if !status.success() {
        let said = said.lock().expect("nobody panics with it");
        bail!("Maven could not fetch {server} ({status}):\n{}", said.1);
    }
    Ok(())
}

/// A project that depends on the artifacts and on nothing else.
fn pom(artifacts: &[String]) -> String {
    let dependencies: String = artifacts
        .iter()
        .map(|artifact| dependency(artifact))
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         \x20 <modelVersion>4.0.0</modelVersion>\n\
         \x20 <groupId>foldline</groupId>\n\
         \x20 <artifactId>services</artifactId>\n\
         \x20 <version>1</version>\n\
         \x20 <packaging>pom</packaging>\n\
         \x20 <dependencies>\n{dependencies}\x20 </dependencies>\n\
         </project>\n"
    )
}

fn dependency(artifact: &str) -> String {
    let mut words = artifact.split(':');
    let mut word = || words.next().unwrap_or_default();
    let (group, name, version) = (word(), word(), word());
    format!(
        "    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
         <version>{version}</version></dependency>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_names_each_artifact_with_its_version() {
        let package = Server::Kafka.package().unwrap();
        let pom = pom(&package.artifacts);
        let broker = "<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>\
                      <version>4.1.0</version>";
        assert!(pom.contains(broker), "{pom}");
        assert_eq!(pom.matches("<dependency>").count(), 2);
    }
}
