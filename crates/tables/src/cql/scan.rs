//! A pass over all rows of one generation, each as of places of its own.

use async_trait::async_trait;
use foldline_read_model::{RowKey, RowValues};

use super::{
    reader::{Reader, Rows},
    session::Sight,
};
use crate::{Absorbed, AsOf, DatedRow, TableError, TableSnapshot};

/// The rows in the order in which the cluster yields them, read while others write.
pub(crate) struct Scan {
    reader: Reader,
    absorbed: Absorbed,
    rows: Option<Rows>,
}

impl Scan {
    pub(crate) fn new(reader: Reader, absorbed: Absorbed) -> Self {
        Self {
            reader,
            absorbed,
            rows: None,
        }
    }

    async fn next(&mut self) -> Result<Option<DatedRow>, TableError> {
        let next = async {
            if self.rows.is_none() {
                self.rows = Some(self.reader.all(Sight::Fresh).await?);
            }
            let rows = self.rows.as_mut().expect("it was begun just now");
            self.reader.next(rows).await
        };
        match next.await {
            Ok(row) => Ok(row),
            Err(fault) => Err(self.reader.trouble("read all rows of", fault).await),
        }
    }
}

#[async_trait]
impl TableSnapshot for Scan {
    fn absorbed(&self) -> &Absorbed {
        &self.absorbed
    }

    fn as_of(&self) -> AsOf {
        AsOf::Rows
    }

    async fn next_rows(&mut self, limit: usize) -> Result<Vec<(RowKey, RowValues)>, TableError> {
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(row) = self.next().await?
        {
            rows.extend(row.values.map(|values| (row.key, values)));
        }
        Ok(rows)
    }

    async fn next_dated(&mut self, limit: usize) -> Result<Vec<DatedRow>, TableError> {
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(row) = self.next().await?
        {
            rows.push(row);
        }
        Ok(rows)
    }

    fn rewind(&mut self) {
        self.rows = None;
    }
}
