//! A pass over all rows of one generation as of one point.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_read_model::{RowKey, RowValues};
use sqlx::AssertSqlSafe;

use super::{
    absorbed,
    connections::Lent,
    reader::{BEGIN, Rows},
    schema,
};
use crate::{Absorbed, TableError, TableSnapshot};

/// A read transaction on a connection of its own, which ends with it.
///
/// While it is open, what is overwritten cannot be cleared away.
#[derive(Debug)]
pub(crate) struct Snapshot {
    lent: Lent,
    rows: Arc<Rows>,
    absorbed: Absorbed,
    /// Whether the cursor is open.
    open: bool,
    rewound: bool,
}

impl Snapshot {
    pub(crate) async fn begin(mut lent: Lent, rows: Arc<Rows>) -> Result<Self, TableError> {
        sqlx::raw_sql(BEGIN)
            .execute(&mut lent.sql)
            .await
            .map_err(|error| rows.subject.error("open a snapshot of", error))?;
        // The transaction sees the tables as of its first read, which this is.
        let names = &rows.connections.names;
        let absorbed = absorbed::read(&mut lent.sql, names, &rows.subject).await?;
        Ok(Self {
            lent,
            rows,
            absorbed,
            open: false,
            rewound: false,
        })
    }

    /// Begins to read the rows in the ascending order of their keys, which may be another one than
    /// that of the index: then they are sorted once, on the server.
    async fn declare(&mut self) -> Result<(), sqlx::Error> {
        let model = &self.rows.model;
        let key = (0..model.key_length).map(|column| schema::name(model, column));
        let key = key.collect::<Vec<_>>().join(", ");
        let close = if self.open { "CLOSE all_rows; " } else { "" };
        let from = &self.rows.from;
        let statement =
            format!("{close}DECLARE all_rows NO SCROLL CURSOR FOR {from} ORDER BY {key}");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut self.lent.sql)
            .await?;
        (self.open, self.rewound) = (true, false);
        Ok(())
    }

    async fn fetch(&mut self, limit: usize) -> Result<Vec<(RowKey, RowValues)>, sqlx::Error> {
        if !self.open || self.rewound {
            self.declare().await?;
        }
        let statement = format!("FETCH FORWARD {limit} FROM all_rows");
        let read = sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .fetch_all(&mut self.lent.sql)
            .await?;
        let key_length = self.rows.model.key_length;
        let split = |row| {
            let mut row = self.rows.values(row)?;
            let values = row.split_off(key_length);
            Ok((RowKey::from_vec(row), values))
        };
        read.iter().map(split).collect()
    }
}

#[async_trait]
impl TableSnapshot for Snapshot {
    fn absorbed(&self) -> &Absorbed {
        &self.absorbed
    }

    async fn next_rows(&mut self, limit: usize) -> Result<Vec<(RowKey, RowValues)>, TableError> {
        // `FETCH 0` would yield the last row once more.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let fetched = self.fetch(limit).await;
        fetched.map_err(|error| self.rows.subject.error("read a snapshot of", error))
    }

    fn rewind(&mut self) {
        self.rewound = true;
    }
}
