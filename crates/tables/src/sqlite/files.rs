//! The files of a store: one registry, and one file per generation.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::GenerationNumber;

/// How long a writer waits for another one before it says `unavailable`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while a generation is loaded, whose commits are large; several may load it.
const LOADING_BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// The pages that a writer keeps in memory.
const WRITER_CACHE_KIB: u32 = 32 * 1024;
/// The same while a generation is loaded: every page of the table is touched again and again.
const LOADING_CACHE_KIB: u32 = 128 * 1024;
const READER_CACHE_KIB: u32 = 4 * 1024;
/// The write-ahead log is copied back once it has this many pages (of 4 KiB) …
const CHECKPOINT_PAGES: u32 = 4_000;
/// … or this many while a generation is loaded: the pages between are written once instead of
/// once per batch.
const LOADING_CHECKPOINT_PAGES: u32 = 16_000;
/// A write-ahead log that grew under a long reader is cut back to this.
const WAL_BYTES_KEPT: u32 = 64 << 20;
/// How often, and after which pause, a file that is just being made is tried again.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(10);
/// How many rows may wait between SQLite's thread and ours.
const ROWS_IN_FLIGHT: usize = 512;

/// The format of the files; in `PRAGMA user_version`.
pub(crate) const FORMAT: i64 = 1;

/// Who opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Reading,
    Writing,
    Loading,
}

/// Returns the path of the registry.
pub(crate) fn registry(dir: &Path) -> PathBuf {
    dir.join("registry.sqlite")
}

/// Returns the path of a generation's file.
pub(crate) fn generation(dir: &Path, model: &str, number: GenerationNumber) -> PathBuf {
    dir.join(format!("{model}-g{number}.sqlite"))
}

/// Lists the generations of a model that have a file.
pub(crate) fn generations(dir: &Path, model: &str) -> io::Result<Vec<GenerationNumber>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".sqlite")?.rsplit_once("-g"))
            .filter(|(of, _)| *of == model)
            .and_then(|(_, number)| number.parse().ok());
        numbers.extend(number.map(GenerationNumber));
    }
    Ok(numbers)
}

/// Removes a file with its write-ahead log. Whoever has it open goes on reading what is gone.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns how large a file is, with its write-ahead log.
pub(crate) fn bytes(path: &Path) -> io::Result<u64> {
    let log = std::fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len());
    Ok(std::fs::metadata(path)?.len() + log)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Returns how a file is opened.
///
/// `synchronous=NORMAL` in WAL mode can lose the last commits when the machine loses power, and
/// never anything in between: rows and checkpoint are lost together, and the projector absorbs
/// the same events again. The registry is opened the same way: a switch that is lost is a replay
/// that has not been switched yet.
pub(crate) fn options(path: &Path, purpose: For) -> SqliteConnectOptions {
    let (cache, checkpoint, busy) = match purpose {
        For::Reading => (READER_CACHE_KIB, CHECKPOINT_PAGES, BUSY_TIMEOUT),
        For::Writing => (WRITER_CACHE_KIB, CHECKPOINT_PAGES, BUSY_TIMEOUT),
        For::Loading => (
            LOADING_CACHE_KIB,
            LOADING_CHECKPOINT_PAGES,
            LOADING_BUSY_TIMEOUT,
        ),
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(busy)
        .row_buffer_size(ROWS_IN_FLIGHT)
        .foreign_keys(false)
        .pragma("cache_size", format!("-{cache}"))
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    if purpose == For::Reading {
        // The file must be there already, with its journal mode.
        return options.read_only(true).pragma("query_only", "ON");
    }
    options
        .synchronous(SqliteSynchronous::Normal)
        .pragma("wal_autocheckpoint", checkpoint.to_string())
        .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string())
}

/// Makes a new file that has these tables, or opens the one that is there.
///
/// # Errors
/// What SQLite says. A file of another format is left alone; see [`format_of`].
pub(crate) async fn create(path: &Path, tables: &str) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = open_wal(path).await?;
    // Two processes may come here at once; the second waits and finds the tables.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if format_of(&mut transaction).await? == 0 {
        let script = format!("{tables}\nPRAGMA user_version = {FORMAT};");
        sqlx::raw_sql(sqlx::AssertSqlSafe(script))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(connection)
}

/// SQLite does not wait for others while it changes the journal mode, so two processes that open
/// a new file at once can hinder each other.
async fn open_wal(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = options(path, For::Writing)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let mut attempts = 0;
    loop {
        match options.connect().await {
            Err(sqlx::Error::Database(_)) if attempts < OPEN_ATTEMPTS => attempts += 1,
            opened => return opened,
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
}

/// Returns the format of an open file; 0 where it is empty.
pub(crate) async fn format_of(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("PRAGMA user_version")
        .fetch_one(connection)
        .await?
        .try_get(0)
}
