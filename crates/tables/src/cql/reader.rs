//! Reads the rows of one generation.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use foldline_read_model::{Model, Value};
use futures::TryStreamExt;
use scylla::value::{CqlValue, Row};

use super::{
    absorbed,
    merge::Merge,
    rows,
    scan::Scan,
    schema::Layout,
    select,
    session::{PAGE_ROWS_MAX, Sight, Store},
    trouble::{Fault, Subject},
};
use crate::{Absorbed, DatedRow, Select, Selected, TableError, TableReader, TableSnapshot};

/// How long one selection may take in all.
const SELECT_MAX: Duration = Duration::from_secs(10);

/// How many cells one answer of the server has at most. Those that are null in a row that is
/// written whole are tombstones, and Cassandra reads at most 100,000 of them at a time.
const PAGE_CELLS_MAX: usize = 20_000;
/// How many contributions a row that many users feed is expected to have.
const CONTRIBUTIONS: usize = 16;

/// A reader of one generation.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) store: Arc<Store>,
    pub(crate) model: Arc<Model>,
    pub(crate) subject: Subject,
    pub(crate) layout: Arc<Layout>,
}

/// Rows as they are read, put together from what is stored.
pub(crate) struct Rows {
    stream: scylla::client::pager::TypedRowStream<Row>,
    merge: Merge,
    ended: bool,
}

impl Reader {
    /// Begins to read the rows of a statement.
    pub(crate) async fn rows(
        &self,
        statement: &str,
        parameters: &[CqlValue],
        sight: Sight,
        limit: usize,
    ) -> Result<Rows, Fault> {
        // A row that is fed by many lanes has a contribution of each.
        let stored = if self.layout.shared {
            limit.saturating_mul(CONTRIBUTIONS)
        } else {
            limit
        };
        let page = stored.min(PAGE_CELLS_MAX / self.model.columns.len());
        let stream = self
            .store
            .stream(statement, parameters, sight, page)
            .await?;
        Ok(Rows {
            stream,
            merge: Merge::default(),
            ended: false,
        })
    }

    /// Begins to read all rows.
    pub(crate) async fn all(&self, sight: Sight) -> Result<Rows, Fault> {
        let all = self.layout.read_all();
        self.rows(&all, &[], sight, PAGE_ROWS_MAX).await
    }

    /// Returns the next row; none at the end.
    pub(crate) async fn next(&self, rows: &mut Rows) -> Result<Option<DatedRow>, Fault> {
        while !rows.ended {
            let whole = match rows.stream.try_next().await? {
                Some(row) => {
                    let stored = rows::read(&self.model, &self.layout, row.columns)?;
                    rows.merge.take(&self.model, stored)?
                }
                None => {
                    rows.ended = true;
                    rows.merge.end(&self.model)?
                }
            };
            if whole.is_some() {
                return Ok(whole);
            }
        }
        Ok(None)
    }

    async fn selected(&self, select: &Select, sight: Sight) -> Result<Vec<Vec<Value>>, Fault> {
        let stretches = select::stretches(&self.model, &self.layout, select);
        let limit = select.limit as usize;
        let mut found = Vec::new();
        for stretch in stretches.map_err(Fault::Broken)? {
            if found.len() >= limit {
                break;
            }
            let (statement, parameters) = (&stretch.statement, &stretch.parameters);
            let missing = limit - found.len();
            let mut rows = self.rows(statement, parameters, sight, missing).await?;
            while found.len() < limit
                && let Some(row) = self.next(&mut rows).await?
            {
                let Some(values) = row.values else { continue };
                let row: Vec<_> = row.key.into_iter().chain(values).collect();
                if select::meets(&self.model, select, &row) {
                    found.push(row);
                }
            }
        }
        Ok(found)
    }

    /// A table that is gone is no reason to try again, nor to call it broken.
    pub(crate) async fn trouble(&self, doing: &str, fault: Fault) -> TableError {
        if matches!(fault, Fault::Unfit(_))
            && let Err(error) = absorbed::read(&self.store, &self.subject, Sight::Fresh).await
        {
            return error;
        }
        self.subject.error(doing, fault)
    }
}

#[async_trait]
impl TableReader for Reader {
    async fn absorbed(&self) -> Result<Absorbed, TableError> {
        absorbed::read(&self.store, &self.subject, Sight::Fresh).await
    }

    async fn select(&self, select: &Select) -> Result<Selected, TableError> {
        let sight = if select.fresh {
            Sight::Fresh
        } else {
            Sight::Any
        };
        let doing = "read the rows of";
        let reading = async {
            // Before the rows, which may be further on.
            let absorbed = absorbed::read(&self.store, &self.subject, sight).await?;
            match self.selected(select, sight).await {
                Ok(rows) => Ok(Selected { absorbed, rows }),
                Err(fault) => Err(self.trouble(doing, fault).await),
            }
        };
        match tokio::time::timeout(SELECT_MAX, reading).await {
            Ok(selected) => selected,
            Err(late) => Err(self.subject.error(doing, Fault::Unreached(late.into()))),
        }
    }

    async fn snapshot(&self) -> Result<Box<dyn TableSnapshot>, TableError> {
        let absorbed = self.absorbed().await?;
        Ok(Box::new(Scan::new(self.clone(), absorbed)))
    }

    /// Reads all of them: there is no count to be had.
    async fn count(&self) -> Result<u64, TableError> {
        let counting = async {
            let mut rows = self.all(Sight::Any).await?;
            let mut count = 0;
            while let Some(row) = self.next(&mut rows).await? {
                let key_length = self.model.key_length;
                let shows = |values: &Vec<Value>| match self.model.present {
                    Some(column) => !values[column - key_length].is_null(),
                    None => true,
                };
                count += u64::from(row.values.as_ref().is_some_and(shows));
            }
            Ok(count)
        };
        match counting.await {
            Ok(count) => Ok(count),
            Err(fault) => Err(self.trouble("count the rows of", fault).await),
        }
    }

    /// The nodes' estimates are minutes old and of their own ranges, so they are not asked.
    async fn bytes(&self) -> Result<Option<u64>, TableError> {
        let retired = absorbed::read(&self.store, &self.subject, Sight::Any);
        retired.await.map(|_| None)
    }
}
