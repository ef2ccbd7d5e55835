//! Postgres, from the binaries that are published for tests of Java programs.

use std::{
    env::consts::{ARCH, OS},
    fs,
    process::Command,
};

use anyhow::{Result, bail};

use super::{fetch::Package, home::Home, ports::Port, record::Engine, server::Server};

/// What is fetched: a jar with an archive of the binaries.
///
/// # Errors
/// When there are no binaries for this machine.
pub(super) fn package() -> Result<Package> {
    let (machine, archive) = match (OS, ARCH) {
        ("linux", "x86_64") => ("linux-amd64", "postgres-linux-x86_64.txz"),
        ("linux", "aarch64") => ("linux-arm64v8", "postgres-linux-arm_64.txz"),
        ("macos", "x86_64") => ("darwin-amd64", "postgres-darwin-x86_64.txz"),
        ("macos", "aarch64") => ("darwin-arm64v8", "postgres-darwin-arm_64.txz"),
        _ => bail!("there are no Postgres binaries for {OS} on {ARCH}: use a Docker engine"),
    };
    // The artifact counts its own corrections as a third number.
    let version = Server::Postgres.version(Engine::Native);
    Ok(Package {
        artifacts: vec![format!(
            "io.zonky.test.postgres:embedded-postgres-binaries-{machine}:{version}.0"
        )],
        megabytes: 15,
        archive: Some(archive),
    })
}

/// Makes a new cluster of databases in the empty data directory.
///
/// Texts sort bytewise and are UTF-8, whatever the machine's locale is, as under Docker.
pub(super) fn preparation(home: &Home) -> Command {
    let mut command = program(home, "initdb");
    command
        .args(["--username=postgres", "--auth=trust", "--no-sync"])
        .args(["--locale=C", "--encoding=UTF8", "--pgdata"])
        .arg(&home.data);
    command
}

/// Removes the lock of a server that is known to have ended.
///
/// It holds a number that may have been given to another process, and Postgres would take that one
/// for itself. That no part of the old one is left, it sees from the shared memory all the same.
pub(super) fn clear(home: &Home) {
    let _ = fs::remove_file(home.data.join("postmaster.pid"));
}

/// The server, on loopback alone.
pub(super) fn command(home: &Home) -> Command {
    let port = home.ports.of(Port::Postgres).to_string();
    let mut command = program(home, "postgres");
    command
        .arg("-D")
        .arg(&home.data)
        .args(["-p", &port])
        .args(["-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_directories="])
        .args(["-c", "max_connections=200"]);
    command
}

fn program(home: &Home, name: &str) -> Command {
    let mut command = Command::new(home.programs.join("bin").join(name));
    command.env("LC_ALL", "C");
    command
}
