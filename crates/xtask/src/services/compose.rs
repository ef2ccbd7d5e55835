//! Runs servers as containers of `docker/compose.yaml`, where a Docker engine answers.

use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    home::checkout,
    note,
    ports::Ports,
    process::LOOK_EVERY,
    record::{Engine, Record},
    server::Server,
};
use crate::workspace::{output, root, run};

/// For how long the engine may think about whether it is there.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Returns whether a Docker engine answers and has Compose.
pub(super) fn is_available() -> bool {
    if !succeeds(Command::new("docker").arg("info")) {
        return false;
    }
    let has_compose = succeeds(Command::new("docker").args(["compose", "version"]));
    if !has_compose {
        note("a Docker engine answers, but there is no `docker compose`: running natively");
    }
    has_compose
}

/// Starts servers, their images fetched if they are not there; they may not answer yet.
///
/// # Errors
/// When Docker says so.
pub(super) fn start(servers: &[Server], ports: Ports) -> Result<()> {
    let mut command = compose();
    command.args(["up", "--detach"]);
    command.args(servers.iter().map(|server| server.name()));
    for server in Server::ALL {
        let variable = format!("FOLDLINE_{}_PORT", server.name().to_uppercase());
        command.env(variable, ports.of(server.port()).to_string());
    }
    run(command.stdout(std::io::stderr()))
}

/// Returns what to remember of a server that was just started.
pub(super) fn record(server: Server, ports: Ports, for_tests: bool) -> Record {
    Record {
        engine: Engine::Docker,
        process: None,
        version: server.version(Engine::Docker).to_owned(),
        ports,
        since: Timestamp::now(),
        jit: true,
        for_tests,
    }
}

/// Returns whether the container of a server runs.
pub(super) fn is_running(server: Server) -> bool {
    let mut list = compose();
    list.args(["ps", "--services", "--status", "running"]);
    output(&mut list).is_ok_and(|names| names.lines().any(|name| name == server.name()))
}

/// Stops a server; its container and data stay if they are to be kept.
///
/// # Errors
/// When Docker says so.
pub(super) fn stop(server: Server, keep: bool) -> Result<()> {
    let mut command = compose();
    if keep {
        command.args(["stop", server.name()]);
    } else {
        command.args(["rm", "--stop", "--force", "--volumes", server.name()]);
    }
    run(command.stdout(std::io::stderr()))
}

/// Returns the memory of a server's container as Docker shows it.
pub(super) fn memory(server: Server) -> Option<String> {
    let id = output(compose().args(["ps", "--quiet", server.name()])).ok()?;
    let mut stats = Command::new("docker");
    stats.args([
        "stats",
        "--no-stream",
        "--format",
        "{{.MemUsage}}",
        id.trim(),
    ]);
    let shown = output(&mut stats).ok()?;
    Some(shown.split('/').next()?.trim().to_owned())
}

/// Returns the program that prints a server's log.
pub(super) fn log(server: Server, follow: bool, lines: Option<&str>) -> Command {
    let mut command = compose();
    command.args(["logs", "--no-log-prefix"]);
    if follow {
        command.arg("--follow");
    }
    if let Some(lines) = lines {
        command.args(["--tail", lines]);
    }
    command.arg(server.name());
    command
}

fn compose() -> Command {
    let mut command = Command::new("docker");
    command
        .args([
            "compose",
            "--project-name",
            &format!("foldline-{}", checkout()),
        ])
        .arg("--file")
        .arg(root().join("docker/compose.yaml"))
        .stdin(Stdio::null());
    command
}

/// Runs a program quietly, for a bounded time: an engine that is away may leave it hanging.
fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
    let Ok(mut child) = silent.stderr(Stdio::null()).spawn() else {
        return false;
    };
    let began = Instant::now();
    while began.elapsed() < ANSWER_MAX {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => sleep(LOOK_EVERY),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
