//! Reads the rows of one generation through connections that can only select.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_read_model::{Model, Value};
use sqlx::{Arguments, AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};

use super::{
    absorbed,
    connections::Connections,
    registry, schema,
    select::{self, Stretch},
    settings::For,
    snapshot::Snapshot,
    trouble::{self, Subject},
    value,
};
use crate::{Absorbed, Select, Selected, TableError, TableReader, TableSnapshot};

/// One point in time for several statements.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A reader of one generation.
#[derive(Debug)]
pub(crate) struct Reader {
    rows: Arc<Rows>,
}

/// How rows are read: what every reader of a generation knows.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) connections: Arc<Connections>,
    pub(crate) model: Arc<Model>,
    pub(crate) subject: Subject,
    table: String,
    /// `SELECT … FROM …`, every column by its name.
    pub(crate) from: String,
}

impl Reader {
    pub(crate) fn new(connections: Arc<Connections>, model: Arc<Model>, subject: Subject) -> Self {
        let names: Vec<_> = (0..model.columns.len())
            .map(|column| schema::name(&model, column))
            .collect();
        let table = connections.names.rows(&subject.model, subject.number);
        Self {
            rows: Arc::new(Rows {
                connections,
                model,
                subject,
                from: format!("SELECT {} FROM {table}", names.join(", ")),
                table,
            }),
        }
    }
}

#[async_trait]
impl TableReader for Reader {
    async fn absorbed(&self) -> Result<Absorbed, TableError> {
        let mut patience = self.rows.connections.patience();
        loop {
            match self.rows.absorbed().await {
                Err(error) if patience.bears(&error).await => {}
                done => return done,
            }
        }
    }

    async fn select(&self, select: &Select) -> Result<Selected, TableError> {
        let mut patience = self.rows.connections.patience();
        loop {
            match self.rows.select(select).await {
                Err(error) if patience.bears(&error).await => {}
                done => return done,
            }
        }
    }

    async fn snapshot(&self) -> Result<Box<dyn TableSnapshot>, TableError> {
        let lent = self.rows.connections.open(For::Snapshots).await?;
        let snapshot = Snapshot::begin(lent, Arc::clone(&self.rows)).await?;
        Ok(Box::new(snapshot))
    }

    async fn count(&self) -> Result<u64, TableError> {
        let (rows, doing) = (&self.rows, "count the rows of");
        let shown = match rows.model.present {
            Some(column) => format!(" WHERE {} IS NOT NULL", schema::name(&rows.model, column)),
            None => String::new(),
        };
        let statement = format!("SELECT count(*) FROM {}{shown}", rows.table);
        let count: i64 = rows.scalar(doing, statement).await?;
        Ok(count.unsigned_abs())
    }

    async fn bytes(&self) -> Result<Option<u64>, TableError> {
        let rows = &self.rows;
        let table = rows.table.replace('\'', "''");
        let statement = format!("SELECT pg_total_relation_size('{table}'::regclass)");
        let bytes: i64 = rows.scalar("measure", statement).await?;
        Ok(u64::try_from(bytes).ok())
    }
}

impl Rows {
    async fn acquire(
        &self,
        doing: &str,
    ) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, TableError> {
        let acquired = self.connections.readers.acquire().await;
        acquired.map_err(|error| self.subject.error(doing, error))
    }

    async fn scalar(&self, doing: &str, statement: String) -> Result<i64, TableError> {
        let mut patience = self.connections.patience();
        loop {
            match self.read_scalar(doing, &statement).await {
                Err(error) if patience.bears(&error).await => {}
                done => return done,
            }
        }
    }

    async fn read_scalar(&self, doing: &str, statement: &str) -> Result<i64, TableError> {
        let mut connection = self.acquire(doing).await?;
        let read = sqlx::query_scalar(AssertSqlSafe(statement.to_owned()))
            .fetch_one(&mut *connection)
            .await;
        match read {
            Ok(number) => Ok(number),
            Err(error) => Err(self.trouble(&mut connection, doing, error).await),
        }
    }

    async fn absorbed(&self) -> Result<Absorbed, TableError> {
        let mut connection = self.acquire("read the checkpoints of").await?;
        absorbed::read(&mut connection, &self.connections.names, &self.subject).await
    }

    async fn select(&self, select: &Select) -> Result<Selected, TableError> {
        let doing = "read the rows of";
        let sql = |error| self.subject.error(doing, error);
        let mut stretches = select::stretches(&self.model, select, &self.from).map_err(sql)?;
        let mut connection = self.acquire(doing).await?;
        if stretches.len() == 1 {
            // What is read first is absorbed in the rows that are read after it.
            let names = &self.connections.names;
            let absorbed = absorbed::read(&mut connection, names, &self.subject).await?;
            let rows = self
                .read(&mut connection, stretches.remove(0), select.limit)
                .await;
            return match rows {
                Ok(rows) => Ok(Selected { absorbed, rows }),
                Err(error) => Err(self.trouble(&mut connection, doing, error).await),
            };
        }
        // One point for all of them, or a row that moves meanwhile comes twice or not at all.
        let mut transaction = connection.begin_with(BEGIN).await.map_err(sql)?;
        let names = &self.connections.names;
        let absorbed = absorbed::read(&mut transaction, names, &self.subject).await?;
        let mut rows = Vec::new();
        for stretch in stretches {
            let left = select.limit - u32::try_from(rows.len()).unwrap_or(select.limit);
            if left == 0 {
                break;
            }
            let read = self.read(&mut transaction, stretch, left).await;
            rows.extend(read.map_err(sql)?);
        }
        transaction.commit().await.map_err(sql)?;
        Ok(Selected { absorbed, rows })
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        mut stretch: Stretch,
        limit: u32,
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        let limit = stretch.arguments.add(i64::from(limit));
        limit.map_err(sqlx::Error::Encode)?;
        let read = sqlx::query_with(AssertSqlSafe(stretch.sql), stretch.arguments)
            .fetch_all(connection)
            .await?;
        read.iter().map(|row| self.values(row)).collect()
    }

    pub(crate) fn values(&self, row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
        debug_assert_eq!(row.len(), self.model.columns.len());
        let columns = self.model.columns.iter().enumerate();
        columns
            .map(|(index, column)| value::read(row, index, column.column_type))
            .collect()
    }

    /// A table that is gone was retired, or else somebody took it away.
    async fn trouble(
        &self,
        connection: &mut PgConnection,
        doing: &str,
        error: sqlx::Error,
    ) -> TableError {
        if !trouble::no_such_table(&error) {
            return self.subject.error(doing, error);
        }
        let names = &self.connections.names;
        match registry::state(connection, names, &self.subject).await {
            Ok(_) => {
                let trouble = schema::missing_trouble(&self.table);
                self.subject.corrupt(doing, trouble)
            }
            Err(error) => error,
        }
    }
}
