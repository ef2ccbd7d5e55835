//! Writes the rows of one generation: a commit is one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, Lane, LaneSequence};
use foldline_read_model::Model;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::timeout;

use super::{
    absorbed,
    connections::{Connections, Lent},
    load,
    rows::{RowWriter, Trouble},
    settings::{For, INDEX_MAX},
    trouble::{self, Subject},
    value,
};
use crate::{Absorbed, Batch, CommitError, Parked, Source, TableError, TableWriter};

/// How often a commit is tried that the server gave up since another one was in its way.
const COLLISIONS_MAX: u32 = 5;

/// A writer of one generation.
#[derive(Debug)]
pub(crate) struct Writer {
    connections: Arc<Connections>,
    subject: Subject,
    purpose: For,
    /// Out of its place while a commit runs: one that is dropped on the way, or fails in a way
    /// that leaves doubt, takes the connection with it, and the server rolls back what it had
    /// begun.
    connection: Option<Lent>,
    /// Whether the connection holds back the commits of others.
    holds: bool,
    rows: RowWriter,
    /// How many commits the generation had when the row cache was last right.
    commits: Option<i64>,
}

/// Why a transaction did not come through.
enum Failure {
    /// Nothing was committed.
    Certain(CommitError),
    /// Nothing was committed, and the server says that it may be tried again at once.
    Collided(sqlx::Error),
    /// The commit itself failed.
    Unknown(Source),
}

/// What the generation's head said when it was taken.
struct Head {
    commits: i64,
    /// Whether the table has the index of its key.
    keyed: bool,
}

impl Writer {
    pub(crate) fn new(
        connections: Arc<Connections>,
        model: Arc<Model>,
        subject: Subject,
        purpose: For,
    ) -> Self {
        let table = connections.names.rows(&subject.model, subject.number);
        Self {
            connections,
            subject,
            purpose,
            connection: None,
            holds: false,
            rows: RowWriter::new(model, &table),
            commits: None,
        }
    }

    /// Takes the connection, opening it where there is none.
    async fn take(&mut self) -> Result<Lent, TableError> {
        if self.holds {
            self.connection = None;
            self.holds = false;
        }
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.connections.open(self.purpose).await,
        }
    }

    /// Tries to commit once. The connection stays where its state is certain.
    async fn attempt(&mut self, batch: &Batch) -> Result<(), Failure> {
        let opened = self.take().await;
        let mut lent = opened.map_err(|error| self.unavailable(error.into()))?;
        let before = self.commits.take();
        let ended = self.transact(&mut lent.sql, batch, before).await;
        match ended {
            Ok(commits) => {
                self.commits = Some(commits);
                self.connection = Some(lent);
                Ok(())
            }
            Err(Failure::Unknown(error)) => Err(Failure::Unknown(error)),
            Err(certain) => {
                // The cache may have rows that are not to be, and `commits` stays unknown.
                let rolled_back = sqlx::raw_sql("ROLLBACK").execute(&mut lent.sql);
                let bound = self.connections.settings.statement_timeout;
                if let Ok(Ok(_)) = timeout(bound, rolled_back).await {
                    self.connection = Some(lent);
                }
                Err(certain)
            }
        }
    }

    /// Runs one transaction and returns how many commits there are with it.
    async fn transact(
        &mut self,
        connection: &mut PgConnection,
        batch: &Batch,
        before: Option<i64>,
    ) -> Result<i64, Failure> {
        // The server bounds every statement; this is for a server that is not there any more.
        let bound = match self.purpose {
            For::Loading => INDEX_MAX,
            _ => self.connections.settings.statement_timeout * 2,
        };
        let written = timeout(bound, self.write(connection, batch, before)).await;
        let commits = written.map_err(|late| self.unavailable(late.into()))??;
        before_commit();
        let commit = sqlx::raw_sql("COMMIT").execute(connection);
        match timeout(bound, commit).await {
            Ok(Ok(_)) => {}
            // The server said no.
            Ok(Err(error @ sqlx::Error::Database(_))) if !trouble::unreachable(&error) => {
                return Err(self.failed(error));
            }
            Ok(Err(error)) => return Err(Failure::Unknown(error.into())),
            Err(late) => return Err(Failure::Unknown(late.into())),
        }
        after_commit();
        Ok(commits)
    }

    /// Does everything but the commit: the head, the fence, rows, parked users.
    async fn write(
        &mut self,
        connection: &mut PgConnection,
        batch: &Batch,
        before: Option<i64>,
    ) -> Result<i64, Failure> {
        let begun = sqlx::raw_sql("BEGIN").execute(&mut *connection).await;
        begun.map_err(|error| self.failed(error))?;
        let head = self.take_head(connection).await;
        let Some(head) = head.map_err(|error| self.failed(error))? else {
            return Err(self.gone(batch));
        };
        let fenced = self.fence(connection, &batch.checkpoints).await;
        if let Some(lane) = fenced.map_err(|error| self.failed(error))? {
            return Err(self.fenced(lane));
        }
        if !batch.rows.is_empty() {
            let written = self.write_rows(connection, batch, &head, before).await;
            written.map_err(|trouble| match trouble {
                Trouble::Sql(error) => self.failed(error),
                Trouble::Overflow(error) => Failure::Certain(*error),
            })?;
        }
        for parked in &batch.parked {
            let parked = self.park(connection, parked).await;
            parked.map_err(|error| self.failed(error))?;
        }
        Ok(head.commits)
    }

    async fn write_rows(
        &mut self,
        connection: &mut PgConnection,
        batch: &Batch,
        head: &Head,
        before: Option<i64>,
    ) -> Result<(), Trouble> {
        self.check_cache(connection, head, before).await?;
        let work = self.rows.sort_out(&batch.rows);
        if !head.keyed && !work.needs_no_key() {
            let names = &self.connections.names;
            load::key_index(connection, names, &self.subject, self.rows.model()).await?;
        }
        self.rows.write(connection, work).await
    }

    /// Clears the cache if anybody else has committed since it was right. The transaction holds
    /// the head, so from here on nobody can.
    async fn check_cache(
        &mut self,
        connection: &mut PgConnection,
        head: &Head,
        before: Option<i64>,
    ) -> Result<(), sqlx::Error> {
        if before.is_some_and(|before| before + 1 == head.commits) {
            return Ok(());
        }
        self.rows.cache.clear();
        let table = (self.connections.names).rows(&self.subject.model, self.subject.number);
        let any = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        let any: bool = sqlx::query_scalar(AssertSqlSafe(any))
            .fetch_one(connection)
            .await?;
        if !any {
            self.rows.cache.table_is_empty();
        }
        Ok(())
    }

    /// Takes the generation's head: from here on nobody else commits to it. None where it has been
    /// retired.
    async fn take_head(&self, connection: &mut PgConnection) -> Result<Option<Head>, sqlx::Error> {
        let take = format!(
            "UPDATE {} SET commits = commits + 1 WHERE model = $1 AND number = $2
             RETURNING commits, keyed",
            self.connections.names.own("heads")
        );
        let head: Option<(i64, bool)> = sqlx::query_as(AssertSqlSafe(take))
            .bind(&self.subject.model)
            .bind(i64::from(self.subject.number.0))
            .fetch_optional(connection)
            .await?;
        Ok(head.map(|(commits, keyed)| Head { commits, keyed }))
    }

    /// Moves checkpoints, each only from the place that this writer last saw there; returns a lane
    /// where another one is.
    async fn fence(
        &self,
        connection: &mut PgConnection,
        checkpoints: &[(LaneSequence, Checkpoint)],
    ) -> Result<Option<Lane>, sqlx::Error> {
        let text = |at: &Checkpoint| serde_json::to_string(at).expect("a checkpoint is plain JSON");
        let bound = |statement: String, given: &[&(LaneSequence, Checkpoint)]| {
            let lanes: Vec<_> = given.iter().map(|(_, at)| i32::from(at.lane.0)).collect();
            let seen: Vec<_> = given.iter().map(|(seen, _)| place(*seen)).collect();
            let reached: Vec<_> = given
                .iter()
                .map(|(_, at)| place(at.lane_sequence))
                .collect();
            let texts: Vec<_> = given.iter().map(|(_, at)| text(at)).collect();
            sqlx::query_scalar::<_, i32>(AssertSqlSafe(statement))
                .bind(self.subject.model.clone())
                .bind(i64::from(self.subject.number.0))
                .bind(lanes)
                .bind(seen)
                .bind(reached)
                .bind(texts)
        };
        let table = self.connections.names.own("checkpoints");
        let given = "unnest($3::integer[], $4::bigint[], $5::bigint[], $6::text[])
             AS given(lane, seen, reached, checkpoint)";
        let all: Vec<_> = checkpoints.iter().collect();
        if all.is_empty() {
            return Ok(None);
        }
        let moved = format!(
            "UPDATE {table} AS known SET lane_sequence = reached, checkpoint = given.checkpoint
               FROM {given}
              WHERE model = $1 AND number = $2 AND known.lane = given.lane
                AND lane_sequence = seen
             RETURNING known.lane"
        );
        let moved = bound(moved, &all).fetch_all(&mut *connection).await?;
        let is_in = |lanes: &[i32], at: &Checkpoint| lanes.contains(&i32::from(at.lane.0));
        let (first, fenced): (Vec<_>, Vec<_>) = all
            .into_iter()
            .filter(|(_, at)| !is_in(&moved, at))
            .partition(|(seen, _)| *seen == LaneSequence::ZERO);
        if let Some((_, at)) = fenced.first() {
            return Ok(Some(at.lane));
        }
        if first.is_empty() {
            return Ok(None);
        }
        let made = format!(
            "INSERT INTO {table} (model, number, lane, lane_sequence, checkpoint)
             SELECT $1, $2, lane, reached, given.checkpoint FROM {given} WHERE seen = 0
             ON CONFLICT (model, number, lane) DO NOTHING RETURNING lane"
        );
        let made = bound(made, &first).fetch_all(connection).await?;
        let mut fenced = first.into_iter().filter(|(_, at)| !is_in(&made, at));
        Ok(fenced.next().map(|(_, at)| at.lane))
    }

    /// Holds a user back; where that is so already, the first event stays the one that says why.
    async fn park(
        &self,
        connection: &mut PgConnection,
        parked: &Parked,
    ) -> Result<(), sqlx::Error> {
        let park = format!(
            "INSERT INTO {} (model, number, \"user\", lane, lane_sequence, position, reason)
             VALUES ($1, $2, $3::text::uuid, $4, $5, $6, $7)
             ON CONFLICT (model, number, \"user\") DO NOTHING",
            self.connections.names.own("parked")
        );
        sqlx::query(AssertSqlSafe(park))
            .bind(&self.subject.model)
            .bind(i64::from(self.subject.number.0))
            .bind(parked.user.0.to_string())
            .bind(i32::from(parked.lane.0))
            .bind(place(parked.lane_sequence))
            .bind(parked.position.to_string())
            .bind(value::escaped(&parked.reason).into_owned())
            .execute(connection)
            .await?;
        Ok(())
    }

    fn failed(&self, error: sqlx::Error) -> Failure {
        if trouble::collided(&error) {
            return Failure::Collided(error);
        }
        self.unavailable(error.into())
    }

    fn unavailable(&self, source: Source) -> Failure {
        Failure::Certain(CommitError::Unavailable {
            model: self.subject.model.clone(),
            source,
        })
    }

    fn fenced(&self, lane: Lane) -> Failure {
        Failure::Certain(CommitError::Fenced {
            model: self.subject.model.clone(),
            lane,
        })
    }

    /// A retired generation fences everybody.
    fn gone(&self, batch: &Batch) -> Failure {
        match batch.checkpoints.first() {
            Some((_, at)) => self.fenced(at.lane),
            None => self.unavailable(self.subject.gone().into()),
        }
    }
}

#[async_trait]
impl TableWriter for Writer {
    async fn absorbed(&mut self) -> Result<Absorbed, TableError> {
        let mut lent = self.take().await?;
        let names = &self.connections.names;
        let absorbed = absorbed::read(&mut lent.sql, names, &self.subject).await?;
        self.connection = Some(lent);
        Ok(absorbed)
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let mut collisions = 0;
        let (model, failure) = loop {
            match self.attempt(batch).await {
                Ok(()) => return Ok(()),
                Err(Failure::Collided(_)) if collisions < COLLISIONS_MAX => collisions += 1,
                Err(failure) => break (self.subject.model.clone(), failure),
            }
        };
        Err(match failure {
            Failure::Certain(error) => error,
            Failure::Collided(error) => CommitError::Unavailable {
                model,
                source: error.into(),
            },
            Failure::Unknown(source) => CommitError::Unknown { model, source },
        })
    }

    async fn finish_loading(&mut self) -> Result<(), TableError> {
        self.index().await?;
        let mut lent = self.connections.open(For::Loading).await?;
        let names = &self.connections.names;
        let finished = load::finish(&mut lent.sql, names, &self.subject).await;
        finished.map_err(|error| self.subject.error("finish loading", error))?;
        // From here on it is written like any other; the next connection has other settings.
        self.purpose = For::Writing;
        self.connection = None;
        Ok(())
    }

    async fn index(&mut self) -> Result<(), TableError> {
        let mut lent = self.connections.open(For::Loading).await?;
        let (names, model) = (&self.connections.names, self.rows.model());
        let made = load::index_for(&mut lent.sql, names, &self.subject, model).await;
        made.map_err(|error| self.subject.error("index", error))
    }

    /// A transaction that writes nothing: it ends, and lets go, with its connection.
    async fn hold(&mut self) -> Result<Absorbed, TableError> {
        let doing = "hold back the commits to";
        let mut lent = self.take().await?;
        let begun = sqlx::raw_sql("BEGIN").execute(&mut lent.sql).await;
        begun.map_err(|error| self.subject.error(doing, error))?;
        let held = format!(
            "SELECT commits FROM {} WHERE model = $1 AND number = $2 FOR UPDATE",
            self.connections.names.own("heads")
        );
        let held: Option<i64> = sqlx::query_scalar(AssertSqlSafe(held))
            .bind(&self.subject.model)
            .bind(i64::from(self.subject.number.0))
            .fetch_optional(&mut lent.sql)
            .await
            .map_err(|error| self.subject.error(doing, error))?;
        if held.is_none() {
            return Err(self.subject.gone());
        }
        let names = &self.connections.names;
        let absorbed = absorbed::read(&mut lent.sql, names, &self.subject).await?;
        (self.connection, self.holds) = (Some(lent), true);
        Ok(absorbed)
    }
}

/// Where a test ends the process: nothing of the transaction may be left.
fn before_commit() {
    fail::fail_point!("projector::before_commit", |_| std::process::abort());
}

/// Where a test ends the process: all of the transaction must be there.
fn after_commit() {
    fail::fail_point!("projector::after_commit", |_| std::process::abort());
}

fn place(sequence: LaneSequence) -> i64 {
    i64::try_from(sequence.0).expect("a lane has fewer than 2^63 events")
}
