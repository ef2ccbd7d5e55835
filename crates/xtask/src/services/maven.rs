//! Runs Maven: what it is asked, and what it says meanwhile.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{interrupt::Interrupt, note, process::LOOK_EVERY, server::Server, tail::Tail};

/// The plugin that copies and unpacks dependencies.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// For how long one fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(900);

/// How often a fetch tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What Maven has said so far.
#[derive(Default)]
struct Said {
    /// How many files it has got.
    files: u32,
    last: Tail,
}

/// Has Maven reach a goal for a project, and tells now and then how far it is.
///
/// # Errors
/// When it fails, with its last words, when it takes too long, or this program is told to end.
pub(super) fn run(
    goal: &str,
    server: Server,
    project: &Path,
    into: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut child = Command::new("mvn")
        // Strict: what does not have its checksum is not taken.
        .args(["--batch-mode", "--strict-checksums", "--file"])
        .arg(project)
        .arg(format!("{PLUGIN}:{goal}"))
        .arg(format!("-DoutputDirectory={}", into.display()))
        .arg("-DincludeScope=runtime")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("`mvn` cannot be started")?;
    let said = Arc::new(Mutex::new(Said::default()));
    let listeners = [
        listen(child.stdout.take().expect("it is piped"), &said),
        listen(child.stderr.take().expect("it is piped"), &said),
    ];
    let (began, mut told) = (Instant::now(), Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for `mvn`")? {
            break status;
        }
        if began.elapsed() > FETCH_MAX || interrupt.check().is_err() {
            let _ = child.kill();
            let _ = child.wait();
            interrupt.check()?;
            bail!(
                "Maven had not fetched {server} after {} s",
                FETCH_MAX.as_secs()
            );
        }
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            let files = said.lock().expect("nobody panics with it").files;
            let seconds = began.elapsed().as_secs();
            note(&format!("{server}: {files} files after {seconds} s"));
        }
        sleep(LOOK_EVERY);
    };
    for listener in listeners {
        listener.join().expect("it only collects lines");
    }
    if !status.success() {
        let said = said.lock().expect("nobody panics with it");
        bail!("Maven could not fetch {server} ({status}):\n{}", said.last);
    }
    Ok(())
}

/// Collects what a program says.
fn listen(output: impl Read + Send + 'static, said: &Arc<Mutex<Said>>) -> JoinHandle<()> {
    /// Maven's way to leave a terminal as it was, whether there is one or not.
    const PLAIN_AGAIN: &str = "\x1b[0m";
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let line = line.replace(PLAIN_AGAIN, "");
            let mut said = said.lock().expect("nobody panics with it");
            said.files += u32::from(line.contains("Downloaded from"));
            if !line.is_empty() {
                said.last.push(line);
            }
        }
    })
}

/// A project that depends on the artifacts and on nothing else.
pub(super) fn project(artifacts: &[String]) -> String {
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
        let pom = project(&package.artifacts);
        let broker = "<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>\
                      <version>4.1.0</version>";
        assert!(pom.contains(broker), "{pom}");
        let count = package.artifacts.len();
        assert_eq!(pom.matches("<dependency>").count(), count);
    }
}
