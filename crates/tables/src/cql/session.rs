//! One session with the cluster: profiles, prepared statements, retries, the tables of Foldline's
//! own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use scylla::{
    client::{
        PoolSize, execution_profile::ExecutionProfile, execution_profile::ExecutionProfileHandle,
        session::Session, session_builder::SessionBuilder,
    },
    policies::speculative_execution::SimpleSpeculativeExecutionPolicy,
    statement::{
        Consistency, Statement,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
    value::{CqlValue, MaybeUnset, Row},
};

use super::{Settings, schema, trouble::Fault};
use crate::TableError;

/// How long one attempt of a statement may take.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long the first answer of a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How often a write is tried before the commit fails.
const WRITES_MAX: u32 = 5;
/// How long a write rests before its second attempt; twice as long before each further one.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// When a read without a position asks a second node.
const SPECULATE_AFTER: Duration = Duration::from_millis(20);
/// How many statements are kept prepared.
const PREPARED_MAX: usize = 1024;
/// How many connections to each node: Cassandra has no shards, so one would carry everything.
const CONNECTIONS: usize = 3;
/// How many rows one answer of the server has at most.
pub(crate) const PAGE_ROWS_MAX: usize = 1000;
/// How long a change of the schema may take, agreement of all nodes aside.
const CHANGE_MAX: Duration = Duration::from_secs(20);

/// A parameter: set, set to null, or left as it is.
pub(crate) type Parameter = MaybeUnset<Option<CqlValue>>;
/// The cells of a row as they are read.
pub(crate) type Cells = Vec<Option<CqlValue>>;

/// A statement with its parameters, which may be carried out any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) statement: Arc<PreparedStatement>,
    pub(crate) parameters: Vec<Parameter>,
}

/// How sure a read is to see what has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Every write that a majority has acknowledged.
    Fresh,
    /// What one replica has.
    Any,
}

/// Which of the two servers it is; they differ in the options of a table only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Scylla,
    Cassandra,
}

/// An open session.
pub(crate) struct Store {
    pub(crate) session: Session,
    pub(crate) keyspace: String,
    pub(crate) flavour: Flavour,
    any: ExecutionProfileHandle,
    prepared: Mutex<HashMap<String, Arc<PreparedStatement>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("keyspace", &self.keyspace)
            .field("flavour", &self.flavour)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects, and makes the keyspace and Foldline's own tables where they are missing. Where
    /// nothing is missing, nothing but `SELECT` is asked: a role that only reads is enough.
    pub(crate) async fn open(settings: &Settings) -> Result<Arc<Self>, TableError> {
        let doing = || format!("open the keyspace {}", settings.keyspace);
        let session = connect(settings).await.map_err(|error| {
            let source = error.into();
            TableError::Unavailable {
                operation: doing(),
                source,
            }
        })?;
        let any = profile()
            .consistency(Consistency::LocalOne)
            .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
                max_retry_count: 1,
                retry_interval: SPECULATE_AFTER,
            })))
            .build()
            .into_handle();
        let mut store = Self {
            session,
            keyspace: settings.keyspace.clone(),
            flavour: Flavour::Cassandra,
            any,
            prepared: Mutex::default(),
        };
        store
            .prepare_ground(settings)
            .await
            .map_err(|fault| fault.told(doing()))?;
        Ok(Arc::new(store))
    }

    async fn prepare_ground(&mut self, settings: &Settings) -> Result<(), Fault> {
        let tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
        let system = [text("system_schema")];
        let system = self.rows(tables, &system, Sight::Any).await?;
        if names(system).any(|name| name == "scylla_tables") {
            self.flavour = Flavour::Scylla;
        }
        let there: Vec<String> = self.tables().await?;
        if there.is_empty() {
            self.change(&schema::keyspace(&self.keyspace, settings.replicas))
                .await?;
        }
        for (name, columns) in schema::OWN {
            if !there.iter().any(|known| known == name) {
                self.change(&schema::own(self, name, columns)).await?;
            }
        }
        Ok(())
    }

    /// Returns the names of all tables of the keyspace.
    pub(crate) async fn tables(&self) -> Result<Vec<String>, Fault> {
        let tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
        let rows = self
            .rows(tables, &[text(&self.keyspace)], Sight::Any)
            .await?;
        Ok(names(rows).collect())
    }

    /// Changes the schema, and waits until all nodes agree on it.
    pub(crate) async fn change(&self, statement: &str) -> Result<(), Fault> {
        let mut statement = Statement::new(statement);
        statement.set_request_timeout(Some(CHANGE_MAX));
        self.session.query_unpaged(statement, ()).await?;
        Ok(())
    }

    /// Prepares a statement, or finds it prepared.
    pub(crate) async fn prepare(&self, text: &str) -> Result<Arc<PreparedStatement>, Fault> {
        if let Some(known) = self.known().get(text) {
            return Ok(Arc::clone(known));
        }
        let mut statement = self.session.prepare(text).await?;
        // All of them: a write carries its own timestamp, so it does the same however often.
        statement.set_is_idempotent(true);
        let statement = Arc::new(statement);
        let mut known = self.known();
        if known.len() >= PREPARED_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), Arc::clone(&statement));
        Ok(statement)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<PreparedStatement>>> {
        // Nothing under the lock can panic half way.
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all rows of a statement whose result is known to be small.
    pub(crate) async fn rows(
        &self,
        statement: &str,
        parameters: &[CqlValue],
        sight: Sight,
    ) -> Result<Vec<Cells>, Fault> {
        let statement = self.seen_by(statement, sight).await?;
        let result = self.session.execute_unpaged(&statement, parameters).await?;
        let broken = |error: &dyn std::error::Error| Fault::Broken(error.to_string());
        let result = result.into_rows_result().map_err(|error| broken(&error))?;
        let rows = result.rows::<Row>().map_err(|error| broken(&error))?;
        rows.map(|row| row.map(|row| row.columns))
            .collect::<Result<_, _>>()
            .map_err(|error| broken(&error))
    }

    /// Begins to read rows, so many at a time.
    pub(crate) async fn stream(
        &self,
        statement: &str,
        parameters: &[CqlValue],
        sight: Sight,
        page_rows: usize,
    ) -> Result<scylla::client::pager::TypedRowStream<Row>, Fault> {
        let mut statement = self.seen_by(statement, sight).await?;
        let page_rows = page_rows.clamp(1, PAGE_ROWS_MAX);
        statement.set_page_size(page_rows.try_into().expect("it is bounded"));
        let pager = self.session.execute_iter(statement, parameters).await?;
        pager
            .rows_stream::<Row>()
            .map_err(|error| Fault::Broken(error.to_string()))
    }

    async fn seen_by(&self, statement: &str, sight: Sight) -> Result<PreparedStatement, Fault> {
        let mut statement = PreparedStatement::clone(&*self.prepare(statement).await?);
        if sight == Sight::Any {
            statement.set_execution_profile_handle(Some(self.any.clone()));
        }
        Ok(statement)
    }

    /// Carries out writes of one partition together, and tries again as long as it makes sense:
    /// the driver itself does not retry a write that timed out, though these may be.
    pub(crate) async fn write(&self, writes: &[Write]) -> Result<(), Fault> {
        let mut rest = RETRY_FIRST;
        let mut tried = 1;
        loop {
            match self.try_write(writes).await {
                Err(Fault::Unreached(error)) if tried < WRITES_MAX => {
                    tracing::warn!(
                        error = error.as_ref() as &dyn std::error::Error,
                        tried,
                        "a write to CQL is tried again"
                    );
                    tokio::time::sleep(rest).await;
                    (rest, tried) = (rest * 2, tried + 1);
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_write(&self, writes: &[Write]) -> Result<(), Fault> {
        if let [write] = writes {
            let done = self
                .session
                .execute_unpaged(&write.statement, &write.parameters);
            done.await?;
            return Ok(());
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        for write in writes {
            batch.append_statement(PreparedStatement::clone(&write.statement));
        }
        let parameters: Vec<_> = writes.iter().map(|write| &write.parameters).collect();
        self.session.batch(&batch, parameters).await?;
        Ok(())
    }

    /// Prepares and carries out one write.
    pub(crate) async fn put(&self, statement: &str, values: Vec<CqlValue>) -> Result<(), Fault> {
        let write = self.ready(statement, values).await?;
        self.write(&[write]).await
    }

    pub(crate) async fn ready(
        &self,
        statement: &str,
        values: Vec<CqlValue>,
    ) -> Result<Write, Fault> {
        let parameters = values.into_iter().map(|value| MaybeUnset::Set(Some(value)));
        Ok(Write {
            statement: self.prepare(statement).await?,
            parameters: parameters.collect(),
        })
    }

    /// Returns the full name of a table.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("\"{}\".\"{name}\"", self.keyspace)
    }
}

async fn connect(settings: &Settings) -> Result<Session, scylla::errors::NewSessionError> {
    let sure = profile()
        .consistency(Consistency::LocalQuorum)
        .build()
        .into_handle();
    let connections = std::num::NonZeroUsize::new(CONNECTIONS).expect("it is not zero");
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .default_execution_profile_handle(sure)
        .connection_timeout(CONNECT_MAX)
        .fetch_full_schema_metadata(false)
        .pool_size(PoolSize::PerHost(connections));
    if let Some((user, password)) = &settings.credentials {
        builder = builder.user(user, password);
    }
    builder.build().await
}

fn profile() -> scylla::client::execution_profile::ExecutionProfileBuilder {
    ExecutionProfile::builder().request_timeout(Some(REQUEST_MAX))
}

pub(crate) fn text(text: &str) -> CqlValue {
    CqlValue::Text(text.to_owned())
}

fn names(rows: Vec<Cells>) -> impl Iterator<Item = String> {
    rows.into_iter().filter_map(|mut row| match row.pop() {
        Some(Some(CqlValue::Text(name))) => Some(name),
        _ => None,
    })
}
