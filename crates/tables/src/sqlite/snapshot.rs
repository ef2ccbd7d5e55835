//! A pass over all rows of one generation as of one point.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_read_model::{Field, OrderTerm, RowKey, RowValues};
use sqlx::SqliteConnection;

use super::{absorbed, reader::Rows};
use crate::{Absorbed, OrderValue, Select, TableError, TableSnapshot};

/// A read transaction on a connection of its own, which ends with it.
///
/// While it is open the write-ahead log cannot be copied back past its point, and grows.
#[derive(Debug)]
pub(crate) struct Snapshot {
    connection: SqliteConnection,
    rows: Arc<Rows>,
    absorbed: Absorbed,
    next: Select,
}

impl Snapshot {
    pub(crate) async fn begin(
        mut connection: SqliteConnection,
        rows: Arc<Rows>,
    ) -> Result<Self, TableError> {
        sqlx::query("BEGIN")
            .execute(&mut connection)
            .await
            .map_err(|error| rows.subject.error("open a snapshot of", error))?;
        // The transaction sees the file as of its first read, which this is.
        let absorbed = absorbed::read(&mut connection, &rows.subject).await?;
        let ascending = |column| OrderTerm {
            field: Field::Column(column),
            descending: false,
        };
        let next = Select {
            conditions: Vec::new(),
            words: None,
            order: (0..rows.model.key_length).map(ascending).collect(),
            after: None,
            limit: 0,
            present_only: false,
            fresh: false,
        };
        Ok(Self {
            connection,
            rows,
            absorbed,
            next,
        })
    }
}

#[async_trait]
impl TableSnapshot for Snapshot {
    fn absorbed(&self) -> &Absorbed {
        &self.absorbed
    }

    async fn next_rows(&mut self, limit: usize) -> Result<Vec<(RowKey, RowValues)>, TableError> {
        self.next.limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let read = self
            .rows
            .select(&mut self.connection, &self.next)
            .await
            .map_err(|error| self.rows.subject.error("read a snapshot of", error))?;
        let key_length = self.rows.model.key_length;
        let split = |mut row: Vec<_>| {
            let values = row.split_off(key_length);
            (RowKey::from_vec(row), values)
        };
        let rows: Vec<_> = read.into_iter().map(split).collect();
        if let Some((last, _)) = rows.last() {
            self.next.after = Some(last.iter().cloned().map(OrderValue::Column).collect());
        }
        Ok(rows)
    }
    fn rewind(&mut self) {
        self.next.after = None;
    }
}
