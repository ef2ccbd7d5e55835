//! `down`: stops servers, and removes their data unless it is to be kept.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{
    compose,
    home::data_places,
    lock::Lock,
    native, note,
    process::End,
    record::{Engine, Places, Record},
    server::Server,
    up::all,
};

/// For how long a server may take to end in good order.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Stops servers, all at once.
///
/// # Errors
/// When one cannot be stopped, or its data cannot be removed.
pub(super) fn down(places: &Places, servers: &[Server], keep: bool) -> Result<()> {
    let _lock = Lock::take(&places.services()?.join("lock"), "`services`")?;
    all(servers, |server| down_one(places, *server, keep))
}

/// Stops those of all servers that only tests asked for.
///
/// # Errors
/// As [`down`].
pub(super) fn down_for_tests(places: &Places) -> Result<()> {
    let _lock = Lock::take(&places.services()?.join("lock"), "`services`")?;
    let asked_by_tests = Server::ALL
        .into_iter()
        .filter(|server| Record::load(places, *server).is_some_and(|record| record.for_tests));
    let servers: Vec<Server> = asked_by_tests.collect();
    all(&servers, |server| down_one(places, *server, false))
}

fn down_one(places: &Places, server: Server, keep: bool) -> Result<()> {
    let began = Instant::now();
    let record = Record::load(places, server);
    let end = match &record {
        Some(record) => end(server, record, keep, STOP_MAX)?,
        None => End::Before,
    };
    // A container that was only stopped is removed, with its data, by a later `down`.
    let is_kept = keep
        && record
            .as_ref()
            .is_some_and(|it| it.engine == Engine::Docker);
    if !is_kept {
        Record::remove(places, server);
    }
    let mut removed = false;
    if !keep {
        for data in data_places(places, server) {
            removed |= data.exists();
            native::remove_data(&places.of(server), &data)?;
        }
        // What Java unpacked there; a server that was killed leaves it behind.
        let _ = std::fs::remove_dir_all(places.of(server).join("tmp"));
        removed |= record.is_some_and(|record| record.engine == Engine::Docker);
    }
    let seconds = began.elapsed().as_secs_f64();
    let how = match end {
        End::Before => "does not run".to_owned(),
        End::Gently => format!("stopped in {seconds:.1} s"),
        End::Killed => format!("killed after {seconds:.1} s"),
    };
    let data = if removed { ", data removed" } else { "" };
    note(&format!("{server}: {how}{data}"));
    Ok(())
}

/// Ends what a record tells of, by its own signal first.
///
/// # Errors
/// When Docker cannot stop it, or it outlives even KILL.
pub(super) fn end(server: Server, record: &Record, keep: bool, patience: Duration) -> Result<End> {
    match (record.engine, &record.process) {
        (Engine::Docker, _) => {
            compose::stop(server, keep)?;
            Ok(End::Gently)
        }
        (Engine::Native, None) => Ok(End::Before),
        (Engine::Native, Some(process)) => {
            let end = process.end(server.stop_signal(), patience);
            if process.is_alive() {
                return Err(anyhow!(
                    "{server} (process {}) cannot be ended",
                    process.pid
                ));
            }
            Ok(end)
        }
    }
}

/// Returns whether what a record tells of runs.
pub(super) fn is_running(server: Server, record: &Record) -> bool {
    match record.engine {
        Engine::Docker => compose::is_running(server),
        Engine::Native => record
            .process
            .as_ref()
            .is_some_and(|process| process.is_alive()),
    }
}
