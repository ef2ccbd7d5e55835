//! The floor of a rebuild: every event is read and decoded, every finished row is inserted.
//!
//! It reads through the log's own followers, all lanes at once, as a projector does; it writes
//! with the driver, the settings and the statement sizes that the tables use. Nothing is folded:
//! the rows are ready, in the order of their keys, so that each page is written once.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use foldline_event_log::{EventLog, Follower, From};
use foldline_kernel::{Context, Lane};
use foldline_projector::Settings;
use foldline_read_model::Model;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::task::JoinSet;

use crate::finished::{Cell, Finished};

/// The most parameters, and the most rows, of one statement.
const PARAMETERS_MAX: usize = 4096;
const STATEMENT_ROWS_MAX: usize = 256;

/// Counts the events that a read model's follower yields.
pub(crate) async fn events(log: &Arc<dyn EventLog>, model: &Model) -> Result<u64> {
    let mut events = 0;
    for lane in log.topology().all_lanes() {
        events += to_read(log, model, lane).await?;
    }
    Ok(events)
}

/// Reads the log and writes the rows side by side, and says how long both took.
pub(crate) async fn run(
    log: &Arc<dyn EventLog>,
    model: &Arc<Model>,
    finished: &Arc<Finished>,
    file: &Path,
) -> Result<Duration> {
    remove(file)?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in log.topology().all_lanes() {
        tasks.spawn(read(Arc::clone(log), Arc::clone(model), lane));
    }
    tasks.spawn(write(Arc::clone(finished), file.to_owned()));
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let took = began.elapsed();
    remove(file)?;
    Ok(took)
}

async fn read(log: Arc<dyn EventLog>, model: Arc<Model>, lane: Lane) -> Result<()> {
    let all = to_read(&log, &model, lane).await?;
    let mut follower: Box<dyn Follower> = match only_context(&model) {
        Some(context) => log.follow(context, lane, From::Beginning).await?,
        None => log.follow_lane(lane, From::Beginning).await?,
    };
    let mut read = 0;
    let at_a_time = Settings::default().chunk_events_max;
    while read < all {
        read += follower.next_batch(at_a_time).await?.len() as u64;
    }
    Ok(())
}

async fn to_read(log: &Arc<dyn EventLog>, model: &Model, lane: Lane) -> Result<u64> {
    let heads = log.heads(lane).await?;
    let index = only_context(model).and_then(|context| log.topology().index_of(context));
    Ok(match index {
        Some(index) => heads.sequences[index].0,
        None => heads.lane_sequence.0,
    })
}

/// A model of one context follows that topic; a model of several follows the lanes.
fn only_context(model: &Model) -> Option<&Context> {
    match model.source.as_slice() {
        [context] => Some(context),
        _ => None,
    }
}

async fn write(finished: Arc<Finished>, file: std::path::PathBuf) -> Result<()> {
    let mut connection = open(&file).await?;
    execute(&mut connection, finished.table.clone()).await?;
    for rows in finished.rows.chunks(Settings::default().load_events_max) {
        execute(&mut connection, "BEGIN IMMEDIATE".into()).await?;
        insert(&mut connection, rows).await?;
        execute(&mut connection, "COMMIT".into()).await?;
    }
    for index in &finished.indexes {
        execute(&mut connection, index.clone()).await?;
    }
    execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)".into()).await?;
    let written: i64 = sqlx::query_scalar("SELECT count(*) FROM rows")
        .fetch_one(&mut connection)
        .await?;
    ensure!(
        written as usize == finished.rows.len(),
        "{written} rows were written"
    );
    connection.close().await?;
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, rows: &[Vec<Cell>]) -> Result<()> {
    let width = rows.first().map_or(1, Vec::len);
    let most = (PARAMETERS_MAX / width).clamp(1, STATEMENT_ROWS_MAX);
    for rows in rows.chunks(most) {
        let row = format!("({})", vec!["?"; width].join(","));
        let all = vec![row.as_str(); rows.len()].join(",");
        let mut arguments = SqliteArguments::default();
        for cell in rows.iter().flatten() {
            cell.bind(&mut arguments)?;
        }
        let text = AssertSqlSafe(format!("INSERT INTO rows VALUES {all}"));
        sqlx::query_with(text, arguments)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Opens a file as the tables open one that is loaded.
async fn open(file: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(false)
        .pragma("cache_size", "-131072")
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", "16000")
        .disable_statement_logging();
    Ok(options.connect().await?)
}

async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

fn remove(file: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(std::path::PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
