//! Reads the rows of one generation through connections that cannot write.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use foldline_read_model::{Model, Value};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, SqlitePool,
    pool::PoolConnection,
    sqlite::{SqlitePoolOptions, SqliteRow},
};

use super::{
    absorbed,
    files::{self, For},
    schema,
    select::{self, Stretch},
    snapshot::Snapshot,
    trouble::Subject,
    value,
};
use crate::{Absorbed, Select, Selected, TableError, TableReader, TableSnapshot};

/// How many readers of one generation one process lets in at once; the others wait.
const READERS_MAX: u32 = 4;
/// How long they wait before they are told `unavailable`.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that nobody used for this long is closed, so that a retired file can go.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A reader of one generation.
#[derive(Debug)]
pub(crate) struct Reader {
    rows: Arc<Rows>,
    path: PathBuf,
    pool: SqlitePool,
}

/// How rows are read: what every reader of a generation knows.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) model: Arc<Model>,
    pub(crate) subject: Subject,
    columns: String,
}

impl Reader {
    pub(crate) fn new(model: Arc<Model>, subject: Subject, path: PathBuf) -> Self {
        let names: Vec<_> = (0..model.columns.len())
            .map(|column| schema::name(&model, column))
            .collect();
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(WAIT_MAX)
            .idle_timeout(IDLE_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(files::options(&path, For::Reading));
        Self {
            rows: Arc::new(Rows {
                model,
                subject,
                columns: names.join(", "),
            }),
            path,
            pool,
        }
    }

    async fn connection(&self, doing: &str) -> Result<PoolConnection<sqlx::Sqlite>, TableError> {
        self.pool
            .acquire()
            .await
            .map_err(|error| self.trouble(doing, error))
    }

    /// A file that is gone cannot be opened; that is no reason to try again.
    fn trouble(&self, doing: &str, error: sqlx::Error) -> TableError {
        if self.path.exists() {
            self.rows.subject.error(doing, error)
        } else {
            self.rows.subject.gone()
        }
    }
}

#[async_trait]
impl TableReader for Reader {
    async fn absorbed(&self) -> Result<Absorbed, TableError> {
        let mut connection = self.connection("read the checkpoints of").await?;
        absorbed::read(&mut connection, &self.rows.subject).await
    }

    async fn select(&self, select: &Select) -> Result<Selected, TableError> {
        let doing = "read the rows of";
        let mut connection = self.connection(doing).await?;
        // One transaction, so that the rows are those of the checkpoints.
        let mut transaction = connection
            .begin()
            .await
            .map_err(|error| self.trouble(doing, error))?;
        let absorbed = absorbed::read(&mut transaction, &self.rows.subject).await?;
        let rows = self
            .rows
            .select(&mut transaction, select)
            .await
            .map_err(|error| self.trouble(doing, error))?;
        Ok(Selected { absorbed, rows })
    }

    async fn snapshot(&self) -> Result<Box<dyn TableSnapshot>, TableError> {
        let connection = files::options(&self.path, For::Reading)
            .connect()
            .await
            .map_err(|error| self.trouble("open a snapshot of", error))?;
        let snapshot = Snapshot::begin(connection, Arc::clone(&self.rows)).await?;
        Ok(Box::new(snapshot))
    }

    async fn count(&self) -> Result<u64, TableError> {
        let doing = "count the rows of";
        let mut connection = self.connection(doing).await?;
        let shown = match self.rows.model.present {
            Some(column) => {
                let name = schema::name(&self.rows.model, column);
                format!("SELECT count(*) FROM rows WHERE {name} IS NOT NULL")
            }
            None => "SELECT count(*) FROM rows".to_owned(),
        };
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(shown))
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| self.trouble(doing, error))?;
        Ok(count.unsigned_abs())
    }

    async fn bytes(&self) -> Result<Option<u64>, TableError> {
        Ok(files::bytes(&self.path).ok())
    }
}

impl Rows {
    /// Selects rows in whatever transaction the connection is in.
    pub(crate) async fn select(
        &self,
        connection: &mut SqliteConnection,
        select: &Select,
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        let limit = select.limit as usize;
        let mut rows = Vec::new();
        for stretch in select::stretches(&self.model, select, &self.columns)? {
            if rows.len() >= limit {
                break;
            }
            self.read(connection, stretch, limit - rows.len(), &mut rows)
                .await?;
        }
        Ok(rows)
    }

    async fn read(
        &self,
        connection: &mut SqliteConnection,
        mut stretch: Stretch,
        limit: usize,
        rows: &mut Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        stretch.arguments.add(limit).map_err(sqlx::Error::Encode)?;
        let read = sqlx::query_with(AssertSqlSafe(stretch.sql), stretch.arguments)
            .fetch_all(connection)
            .await?;
        rows.reserve(read.len());
        for row in &read {
            rows.push(self.values(row)?);
        }
        Ok(())
    }

    fn values(&self, row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
        debug_assert_eq!(row.len(), self.model.columns.len());
        let columns = self.model.columns.iter().enumerate();
        columns
            .map(|(index, column)| value::read(row, index, column.column_type))
            .collect()
    }
}
