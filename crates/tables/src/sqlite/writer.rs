//! Writes the rows of one generation: a commit is one transaction.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, LaneSequence};
use foldline_read_model::Model;
use sqlx::{ConnectOptions, SqliteConnection};

use super::{
    absorbed,
    files::{self, For},
    load,
    rows::{RowWriter, Trouble},
    trouble::Subject,
};
use crate::{Absorbed, Batch, CommitError, Parked, TableError, TableWriter};

/// A commit that had to wait for so long to begin waited for another process.
const CONTENDED: Duration = Duration::from_millis(2);
/// How long a writer that loads lets others begin after such a commit: SQLite looks every 100 ms
/// whether it can, so who writes without a rest would keep the others out.
const TURN: Duration = Duration::from_millis(120);

/// A writer of one generation.
#[derive(Debug)]
pub(crate) struct Writer {
    subject: Subject,
    path: PathBuf,
    purpose: For,
    /// Out of its place while a commit runs: one that is dropped on the way, or fails in a way
    /// that leaves doubt, takes the connection with it, and SQLite rolls back what it had begun.
    connection: Option<SqliteConnection>,
    rows: RowWriter,
    /// Until when others are to have their turn.
    rests_until: Option<Instant>,
    /// The file's data version when the row cache was last right.
    data_version: Option<i64>,
}

/// Why a transaction did not come through.
enum Failure {
    /// Nothing was committed.
    Certain(CommitError),
    /// The commit itself failed.
    Unknown(sqlx::Error),
}

impl Writer {
    pub(crate) fn new(model: Arc<Model>, subject: Subject, path: PathBuf, purpose: For) -> Self {
        Self {
            subject,
            path,
            purpose,
            connection: None,
            rows: RowWriter::new(model),
            rests_until: None,
            data_version: None,
        }
    }

    /// Takes the connection, opening it where there is none.
    async fn take(&mut self, doing: &str) -> Result<SqliteConnection, TableError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        // `data_version` only compares on one and the same connection.
        self.data_version = None;
        let opened = files::options(&self.path, self.purpose).connect().await;
        opened.map_err(|error| {
            if self.path.exists() {
                self.subject.error(doing, error)
            } else {
                self.subject.gone()
            }
        })
    }

    async fn transact(
        &mut self,
        connection: &mut SqliteConnection,
        batch: &Batch,
    ) -> Result<(), Failure> {
        if let Some(rest) = self.rests_until.take() {
            tokio::time::sleep_until(rest.into()).await;
        }
        let waits_since = Instant::now();
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await
            .map_err(|error| self.unavailable(error))?;
        let contended = waits_since.elapsed() > CONTENDED;
        for (seen, checkpoint) in &batch.checkpoints {
            self.fence(connection, *seen, checkpoint).await?;
        }
        if moves_checkpoints_first() {
            sqlx::query("COMMIT; BEGIN IMMEDIATE")
                .execute(&mut *connection)
                .await
                .map_err(Failure::Unknown)?;
        }
        if !batch.rows.is_empty() {
            if self.rows.reads {
                self.check_cache(connection)
                    .await
                    .map_err(|error| self.unavailable(error))?;
            }
            let written = self.rows.write(connection, &batch.rows).await;
            written.map_err(|trouble| match trouble {
                Trouble::Sql(error) => self.unavailable(error),
                Trouble::Overflow(error) => Failure::Certain(*error),
            })?;
        }
        for parked in &batch.parked {
            park(connection, parked)
                .await
                .map_err(|error| self.unavailable(error))?;
        }
        before_commit();
        sqlx::query("COMMIT")
            .execute(connection)
            .await
            .map_err(Failure::Unknown)?;
        if contended && self.purpose == For::Loading {
            self.rests_until = Some(Instant::now() + TURN);
        }
        after_commit();
        Ok(())
    }

    /// Clears the cache if any other connection has written to the file since it was right. The
    /// transaction holds the write lock, so from here on nobody can.
    async fn check_cache(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut *connection)
            .await?;
        if self.data_version == Some(version) {
            return Ok(());
        }
        self.rows.cache.clear();
        let any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM rows)")
            .fetch_one(connection)
            .await?;
        if !any {
            self.rows.cache.table_is_empty();
        }
        self.data_version = Some(version);
        Ok(())
    }

    /// Moves a checkpoint, and only from the place that this writer last saw there.
    async fn fence(
        &self,
        connection: &mut SqliteConnection,
        seen: LaneSequence,
        checkpoint: &Checkpoint,
    ) -> Result<(), Failure> {
        let text = serde_json::to_string(checkpoint).expect("a checkpoint is plain JSON");
        let lane = i64::from(checkpoint.lane.0);
        let to = place(checkpoint.lane_sequence);
        if seen == LaneSequence::ZERO {
            let inserted = sqlx::query(
                "INSERT INTO checkpoints SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM retired)
                 ON CONFLICT (lane) DO NOTHING",
            )
            .bind(lane)
            .bind(to)
            .bind(&text)
            .execute(&mut *connection)
            .await
            .map_err(|error| self.unavailable(error))?;
            if inserted.rows_affected() == 1 {
                return Ok(());
            }
        }
        let moved = sqlx::query(
            "UPDATE checkpoints SET lane_sequence = ?, checkpoint = ?
             WHERE lane = ? AND lane_sequence = ? AND NOT EXISTS (SELECT 1 FROM retired)",
        )
        .bind(to)
        .bind(&text)
        .bind(lane)
        .bind(place(seen))
        .execute(connection)
        .await
        .map_err(|error| self.unavailable(error))?;
        if moved.rows_affected() == 1 {
            return Ok(());
        }
        Err(Failure::Certain(CommitError::Fenced {
            model: self.subject.model.clone(),
            lane: checkpoint.lane,
        }))
    }

    fn unavailable(&self, error: sqlx::Error) -> Failure {
        Failure::Certain(CommitError::Unavailable {
            model: self.subject.model.clone(),
            source: error.into(),
        })
    }
}

#[async_trait]
impl TableWriter for Writer {
    async fn absorbed(&mut self) -> Result<Absorbed, TableError> {
        let mut connection = self.take("read the checkpoints of").await?;
        let absorbed = absorbed::read(&mut connection, &self.subject).await?;
        self.connection = Some(connection);
        Ok(absorbed)
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let opened = self.take("write to").await;
        let mut connection = opened.map_err(|error| CommitError::Unavailable {
            model: self.subject.model.clone(),
            source: error.into(),
        })?;
        match self.transact(&mut connection, batch).await {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(Failure::Certain(error)) => {
                // The cache may have rows that are not to be.
                self.data_version = None;
                let rolled_back = sqlx::query("ROLLBACK").execute(&mut connection).await;
                if rolled_back.is_ok() {
                    self.connection = Some(connection);
                }
                Err(error)
            }
            // The connection goes, and the next one starts with an empty cache.
            Err(Failure::Unknown(error)) => Err(CommitError::Unknown {
                model: self.subject.model.clone(),
                source: error.into(),
            }),
        }
    }

    async fn finish_loading(&mut self) -> Result<(), TableError> {
        let doing = "finish loading";
        let mut connection = self.take(doing).await?;
        load::index_for(&mut connection, self.rows.model())
            .await
            .map_err(|error| self.subject.error(doing, error))?;
        load::finish(&mut connection)
            .await
            .map_err(|error| self.subject.error(doing, error))?;
        // From here on it is written like any other; the next connection has other settings.
        self.purpose = For::Writing;
        Ok(())
    }

    async fn index(&mut self) -> Result<(), TableError> {
        let mut connection = self.take("index").await?;
        load::index_for(&mut connection, self.rows.model())
            .await
            .map_err(|error| self.subject.error("index", error))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// A write transaction that writes nothing: it ends, and lets go, with its connection.
    async fn hold(&mut self) -> Result<Absorbed, TableError> {
        let doing = "hold back the commits to";
        let mut connection = self.take(doing).await?;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .map_err(|error| self.subject.error(doing, error))?;
        let absorbed = absorbed::read(&mut connection, &self.subject).await?;
        self.connection = Some(connection);
        Ok(absorbed)
    }
}

/// Whether a checkpoint becomes durable before its rows: to see whether `cargo xtask faults` would
/// find it.
fn moves_checkpoints_first() -> bool {
    fail::fail_point!("broken::checkpoint", |_| true);
    false
}

/// Where a test ends the process: nothing of the transaction may be left.
fn before_commit() {
    fail::fail_point!("projector::before_commit", |_| std::process::abort());
}

/// Where a test ends the process: all of the transaction must be there.
fn after_commit() {
    fail::fail_point!("projector::after_commit", |_| std::process::abort());
}

/// Holds a user back; where that is so already, the first event stays the one that says why.
async fn park(connection: &mut SqliteConnection, parked: &Parked) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO parked VALUES (?, ?, ?, ?, ?) ON CONFLICT (user) DO NOTHING")
        .bind(parked.user.0.as_bytes().as_slice())
        .bind(i64::from(parked.lane.0))
        .bind(place(parked.lane_sequence))
        .bind(parked.position.to_string())
        .bind(&parked.reason)
        .execute(connection)
        .await?;
    Ok(())
}

fn place(sequence: LaneSequence) -> i64 {
    i64::try_from(sequence.0).expect("a lane has fewer than 2^63 events")
}
