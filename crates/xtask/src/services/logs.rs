//! `logs`: what a server has written, and what it goes on to write.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    thread::sleep,
};

use anyhow::{Context, Result};

use super::{
    compose,
    process::LOOK_EVERY,
    record::{Engine, Places, Record},
    server::Server,
};
use crate::workspace::run;

/// Prints a server's log; following, it goes on until it is interrupted.
///
/// # Errors
/// When there is no log.
pub(super) fn print(places: &Places, server: Server, follow: bool) -> Result<()> {
    let record = Record::load(places, server);
    if record.is_some_and(|record| record.engine == Engine::Docker) {
        return run(&mut compose::log(server, follow, None));
    }
    let path = places.log(server);
    let file = File::open(&path)
        .with_context(|| format!("{server} has no log here: {}", path.display()))?;
    match copy(file, &path, follow) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        copied => copied.context("cannot print the log"),
    }
}

fn copy(mut file: File, path: &Path, follow: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut bytes)?;
        if read > 0 {
            output.write_all(&bytes[..read])?;
            output.flush()?;
            continue;
        }
        if !follow {
            return Ok(());
        }
        sleep(LOOK_EVERY);
        if let Some(next) = started_anew(&file, path)? {
            file = next;
        } else if file.metadata()?.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
        }
    }
}

/// The file that has the name now, if it is another one: the server was started again.
fn started_anew(file: &File, path: &Path) -> io::Result<Option<File>> {
    let Ok(now) = File::open(path) else {
        return Ok(None);
    };
    let is_same = now.metadata()?.ino() == file.metadata()?.ino();
    Ok((!is_same).then_some(now))
}
