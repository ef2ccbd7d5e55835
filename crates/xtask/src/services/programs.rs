//! The programs that must be there, and how they come to be.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;

use super::{home::Home, note};
use crate::workspace::run;

/// The oldest Java that Kafka 4 and Cassandra 5 both run on.
const JAVA_MIN: u32 = 17;

/// A program, how to see that it works, and the Debian package that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Program {
    name: &'static str,
    version: &'static str,
    package: &'static str,
}

/// What runs Kafka, Cassandra and Maven.
pub(super) const JAVA: Program = Program {
    name: "java",
    version: "-version",
    package: "default-jre-headless",
};
/// What fetches jars.
pub(super) const MAVEN: Program = Program {
    name: "mvn",
    version: "--version",
    package: "maven",
};
/// What unpacks Postgres, with [`XZ`].
pub(super) const TAR: Program = Program {
    name: "tar",
    version: "--version",
    package: "tar",
};
/// What `tar` calls for an archive of that kind.
pub(super) const XZ: Program = Program {
    name: "xz",
    version: "--version",
    package: "xz-utils",
};

/// A Java, and which one it is.
pub(super) struct Java {
    /// The program.
    pub(super) path: PathBuf,
    /// Its first number: 17, 21.
    pub(super) major: u32,
}

impl Program {
    fn works(self) -> bool {
        let mut command = Command::new(self.path());
        let command = command.arg(self.version).stdin(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    }

    /// `JAVA_HOME` goes before the search path, as for every program in Java.
    fn path(self) -> PathBuf {
        let home = std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
        let inside = home.map(|home| Path::new(&home).join("bin").join(self.name));
        match inside {
            Some(path) if self == JAVA && path.exists() => path,
            _ => self.name.into(),
        }
    }
}

/// Makes sure that programs are there: installs them where that is allowed, and says so.
///
/// # Errors
/// When one is not there and cannot be installed; says the command that does it.
pub(super) fn require(programs: &[Program]) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let names = names.join(" and ");
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "{names} cannot be found: install Java {JAVA_MIN} or newer, Maven 3 and xz \
             (Homebrew: brew install openjdk maven xz), then run this again"
        );
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let packages = packages.join(" ");
    if !geteuid().is_root() {
        bail!(
            "{names} cannot be found; to install what is missing:\n  \
             sudo apt-get install -y {packages}"
        );
    }
    note(&format!(
        "{names} cannot be found: installing {packages} with apt-get"
    ));
    install(&packages)?;
    let missing = self::missing(programs);
    ensure!(
        missing.is_empty(),
        "{names} cannot be found on the search path, although {packages} is installed"
    );
    Ok(())
}

fn missing(programs: &[Program]) -> Vec<Program> {
    let missing = programs.iter().copied().filter(|program| !program.works());
    missing.collect()
}

fn install(packages: &str) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-q", "-y"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            // Our own standard output is for values.
            .stdout(std::io::stderr());
        run(&mut command)
    };
    apt(&["update"])?;
    let packages = packages.split(' ');
    let words = ["install", "--no-install-recommends"];
    apt(&words.into_iter().chain(packages).collect::<Vec<_>>())
}

impl Java {
    /// Returns the Java of this machine.
    ///
    /// # Errors
    /// When it is too old, or does not say what it is.
    pub(super) fn find() -> Result<Self> {
        let path = JAVA.path();
        let output = Command::new(&path)
            .arg(JAVA.version)
            .output()
            .with_context(|| format!("`{}` cannot be started", path.display()))?;
        // It prints its version where others print errors.
        let shown = String::from_utf8_lossy(&output.stderr);
        let major = major(&shown)
            .with_context(|| format!("`{} -version` printed no version", path.display()))?;
        ensure!(
            major >= JAVA_MIN,
            "{} is Java {major}, and it takes {JAVA_MIN} or newer: set JAVA_HOME to such a one",
            path.display(),
        );
        Ok(Self { path, major })
    }
}

/// A call of the Java of a home, its temporary files kept there: they hold native libraries, and
/// the system's directory may be one from which nothing runs.
pub(super) fn java(home: &Home) -> Command {
    let path = home
        .java
        .as_ref()
        .map_or(Path::new("java"), |java| &java.path);
    let temporary = home.state.join("tmp");
    let mut command = Command::new(path);
    command
        .arg(format!("-Djava.io.tmpdir={}", temporary.display()))
        .arg(format!("-Djna.tmpdir={}", temporary.display()));
    command
}

/// The first number of a version, from what `java -version` prints; before 9 it was the second.
fn major(shown: &str) -> Option<u32> {
    let version = shown.split('"').nth(1)?;
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_java_says_what_it_is() {
        let said = |version| major(&format!("openjdk version \"{version}\" 2025-04-15\nMore\n"));
        assert_eq!(said("17.0.15"), Some(17));
        assert_eq!(said("21"), Some(21));
        assert_eq!(said("26-ea"), Some(26));
        assert_eq!(said("1.8.0_402"), Some(8));
        assert_eq!(major("no java here"), None);
    }
}
