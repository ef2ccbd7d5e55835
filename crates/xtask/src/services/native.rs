//! Runs servers as processes of this machine.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::{
    fetch,
    home::{Home, User, data_place},
    ports::Ports,
    process::Process,
    programs::{JAVA, Java, require},
    record::{Engine, Places, Record},
    server::Server,
    tail::Tail,
    up::Wish,
};

/// What exists once the data is usable: without it, it was cut off while it was made.
const PREPARED: &str = "prepared";

/// Returns everything a server needs, fetched if it is not there.
///
/// # Errors
/// When something is missing and cannot be had.
pub(super) fn home(places: &Places, server: Server, ports: Ports, wish: &Wish) -> Result<Home> {
    let programs = fetch::programs(server, &wish.interrupt)?;
    let java = if server.is_java() {
        require(&[JAVA])?;
        Some(Java::find()?)
    } else {
        None
    };
    let state = places.of(server);
    let temporary = state.join("tmp");
    fs::create_dir_all(&temporary)
        .with_context(|| format!("cannot make {}", temporary.display()))?;
    Ok(Home {
        programs,
        data: data_place(places, server)?,
        state,
        ports,
        jit: wish.jit,
        java,
        user: User::of(server)?,
    })
}

/// Starts a server and remembers it; it may not answer yet.
///
/// # Errors
/// When it cannot be started, or its data cannot be made.
pub(super) fn start(
    places: &Places,
    server: Server,
    home: &Home,
    for_tests: bool,
) -> Result<Record> {
    if let Some(before) = Record::load(places, server).and_then(|record| record.process) {
        before.wait_until_put_away();
    }
    server.clear(home);
    for (name, text) in server.configuration(home) {
        let path = home.state.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let log = places.log(server);
    // The log of the run before is kept: it may say why that ended.
    let _ = fs::rename(&log, log.with_extension("log.1"));
    let log_file = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    prepare(server, home, &log, &log_file)?;
    let mut command = server.command(home)?;
    let child = as_user(&mut command, home, &log_file)?
        // Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {server}"))?;
    let pid = i32::try_from(child.id()).context("a process id is too large")?;
    let Some(process) = Process::of(pid) else {
        bail!("{server} ended at once; its log:\n{}", Tail::of(&log));
    };
    let record = Record {
        engine: Engine::Native,
        process: Some(process),
        version: server.version(Engine::Native).to_owned(),
        ports: home.ports,
        since: Timestamp::now(),
        jit: home.jit,
        for_tests,
    };
    record.save(places, server)?;
    Ok(record)
}

/// Makes the data usable, if it is not.
fn prepare(server: Server, home: &Home, log: &Path, log_file: &File) -> Result<()> {
    let prepared = home.state.join(PREPARED);
    if prepared.exists() && home.data.exists() {
        return Ok(());
    }
    remove_data(&home.state, &home.data)?;
    fs::create_dir_all(&home.data)
        .with_context(|| format!("cannot make {}", home.data.display()))?;
    if let Some(User { uid, gid }) = home.user {
        chown(&home.data, Some(uid), Some(gid))
            .with_context(|| format!("cannot give {} away", home.data.display()))?;
    }
    if let Some(mut command) = server.preparation(home) {
        let status = as_user(&mut command, home, log_file)?
            .status()
            .with_context(|| format!("cannot make the data of {server}"))?;
        if !status.success() {
            bail!(
                "cannot make the data of {server} ({status}); the log:\n{}",
                Tail::of(log)
            );
        }
    }
    File::create(&prepared).with_context(|| format!("cannot make {}", prepared.display()))?;
    Ok(())
}

fn as_user<'a>(command: &'a mut Command, home: &Home, log: &File) -> Result<&'a mut Command> {
    let again = || log.try_clone().context("cannot share the log");
    command
        .stdin(Stdio::null())
        .stdout(again()?)
        .stderr(again()?)
        // What cargo set for this program is not for others.
        .env_remove("LD_LIBRARY_PATH")
        // Where the server's user may be.
        .current_dir(&home.programs);
    if let Some(User { uid, gid }) = home.user {
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

/// Removes a server's data, and the mark that it is usable before it.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn remove_data(state: &Path, data: &Path) -> Result<()> {
    for (path, removed) in [
        (state.join(PREPARED), fs::remove_file(state.join(PREPARED))),
        (data.to_owned(), fs::remove_dir_all(data)),
    ] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
