//! Tables in a schema of a Postgres database, for any number of processes.
//!
//! ```text
//!   migrations, generations, numbers    which version this is; which generations there are
//!   heads, checkpoints, parked          what each generation has absorbed, and who commits to it
//!   order_g3, order_g4, …               rows: one table per generation
//! ```
//!
//! A commit is one transaction: it takes the generation's head, moves the checkpoints, writes the
//! rows. Whoever reads takes on a role that can only select.

mod absorbed;
mod connections;
mod copy;
mod load;
mod migrations;
mod names;
mod reader;
mod registry;
mod rows;
mod schema;
mod select;
mod settings;
mod snapshot;
mod statements;
#[cfg(test)]
mod tests;
mod trouble;
mod value;
mod words;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::LogId;
use foldline_read_model::Model;
use tokio::time::{Duration, Instant};

pub use self::settings::PostgresSettings;
use self::{
    connections::Connections,
    reader::Reader,
    settings::{For, SWITCH_WAIT_MAX},
    trouble::{Subject, table_error},
    writer::Writer,
};
use crate::{
    Generation, GenerationNumber, GenerationState, SwitchError, TableError, TableReader,
    TableWriter, Tables,
};

/// The first and the longest pause before a server that is not there yet is tried again.
const OPEN_PAUSE: Duration = Duration::from_millis(50);
const OPEN_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The tables of one schema.
#[derive(Debug)]
pub struct Postgres {
    connections: Arc<Connections>,
}

impl Postgres {
    /// Opens the tables of a schema. A process that may write makes Foldline's own tables and the
    /// reading role, or brings them up to date; one that only reads expects to find them.
    ///
    /// A server that is not there yet is waited for, within a bound.
    ///
    /// # Errors
    /// [`TableError::Unavailable`] when it cannot be reached; [`TableError::Corrupt`] when the
    /// address is none, when the role may not make the tables (with the statements that somebody
    /// else has to run), or when they are of a newer version.
    pub async fn open(settings: PostgresSettings) -> Result<Self, TableError> {
        let patience = Instant::now() + settings.open_timeout;
        let connections = Connections::new(settings)?;
        let mut pause = OPEN_PAUSE;
        loop {
            let ready = Self::prepare(&connections).await;
            match ready {
                Ok(()) => {
                    return Ok(Self {
                        connections: Arc::new(connections),
                    });
                }
                Err(error @ TableError::Unavailable { .. }) => {
                    if Instant::now() + pause > patience {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(OPEN_PAUSE_MAX);
        }
    }

    /// Drops the schema with everything in it, and the role that reads it; for tests, each of which
    /// has one of its own.
    ///
    /// # Errors
    /// [`TableError`] when the server cannot be reached or refuses.
    #[cfg(any(test, feature = "conformance"))]
    pub async fn drop_schema(&self) -> Result<(), TableError> {
        let schema = names::quoted(&self.connections.settings.schema);
        let role = names::quoted(&self.connections.settings.reader_role());
        let drop = format!("DROP SCHEMA {schema} CASCADE; DROP ROLE IF EXISTS {role}");
        let pool = self.connections.registry("drop a schema")?;
        let dropped = sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(pool).await;
        let told = |error| table_error(format!("drop the schema {schema}"), error);
        dropped.map(|_| ()).map_err(told)
    }

    async fn prepare(connections: &Connections) -> Result<(), TableError> {
        let settings = &connections.settings;
        match &settings.url {
            Some(_) => {
                let registry = connections.registry("open the tables")?;
                migrations::run(registry, settings).await
            }
            None => migrations::check(&connections.readers, settings).await,
        }
    }

    /// Finds a generation in the registry and looks for its table.
    async fn find(&self, subject: &Subject) -> Result<GenerationState, TableError> {
        let mut patience = self.connections.patience();
        loop {
            match self.look_for(subject).await {
                Err(error) if patience.bears(&error).await => {}
                done => return done,
            }
        }
    }

    async fn look_for(&self, subject: &Subject) -> Result<GenerationState, TableError> {
        let names = &self.connections.names;
        let sql = |error| subject.error("open", error);
        let mut connection = self.connections.looks().acquire().await.map_err(sql)?;
        let state = registry::state(&mut connection, names, subject).await?;
        let there = registry::has_table(&mut connection, names, subject).await;
        if !there.map_err(sql)? {
            // Unless it was retired at this moment, somebody took the table away.
            registry::state(&mut connection, names, subject).await?;
            let table = names.rows(&subject.model, subject.number);
            return Err(subject.corrupt("open", schema::missing_trouble(&table)));
        }
        Ok(state)
    }

    async fn list(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        let sql = |error| table_error(format!("read the generations of {model}"), error);
        let mut connection = self.connections.looks().acquire().await.map_err(sql)?;
        registry::list(&mut connection, &self.connections.names, model).await
    }

    /// A generation never serves without its indexes, whoever forgot to finish its loading.
    async fn finish(&self, subject: &Subject) -> Result<(), TableError> {
        let names = &self.connections.names;
        let sql = |error| subject.error("index", error);
        let registry = self.connections.registry("switch")?;
        let mut connection = registry.acquire().await.map_err(sql)?;
        let finished = load::is_finished(&mut connection, names, subject).await;
        if finished.map_err(sql)? {
            return Ok(());
        }
        let mut lent = self.connections.open(For::Loading).await?;
        let patience = format!("SET lock_timeout = '{}ms'", SWITCH_WAIT_MAX.as_millis());
        sqlx::raw_sql(sqlx::AssertSqlSafe(patience))
            .execute(&mut lent.sql)
            .await
            .map_err(sql)?;
        load::finish(&mut lent.sql, names, subject)
            .await
            .map_err(sql)
    }
}

fn subject(model: &str, number: GenerationNumber) -> Subject {
    Subject {
        model: model.to_owned(),
        number,
    }
}

#[async_trait]
impl Tables for Postgres {
    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        let mut patience = self.connections.patience();
        loop {
            match self.list(model).await {
                Err(error) if patience.bears(&error).await => {}
                done => return done,
            }
        }
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        let Connections {
            settings, names, ..
        } = &*self.connections;
        let pool = self.connections.registry("create a generation")?;
        let created = registry::create(pool, settings, names, model, log_id).await?;
        if let Err(error) = registry::sweep(pool, names, &model.name).await {
            tracing::warn!(
                model = model.name.as_ref(),
                error = &error as &dyn std::error::Error,
                "the table of a retired generation is still there"
            );
        }
        Ok(created)
    }

    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError> {
        let subject = subject(model, to);
        if self.find(&subject).await? == GenerationState::Serving {
            return Ok(());
        }
        self.finish(&subject).await?;
        let pool = self.connections.registry("switch")?;
        registry::switch(pool, &self.connections.names, &subject, from).await
    }

    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError> {
        let subject = subject(model, generation);
        let pool = self.connections.registry("retire a generation")?;
        let names = &self.connections.names;
        registry::forget(pool, names, &subject).await?;
        // Nobody finds it any more; what still reads it may hold its table for a while.
        if let Err(error) = registry::sweep(pool, names, model).await {
            tracing::warn!(
                model,
                %generation,
                error = &error as &dyn std::error::Error,
                "the table of a retired generation goes with the next one"
            );
        }
        Ok(())
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        let subject = subject(&model.name, generation);
        self.connections.registry("write")?;
        let building = self.find(&subject).await? == GenerationState::Building;
        let purpose = if building { For::Loading } else { For::Writing };
        Ok(Box::new(Writer::new(
            Arc::clone(&self.connections),
            Arc::clone(model),
            subject,
            purpose,
        )))
    }

    async fn reader(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        let subject = subject(&model.name, generation);
        self.find(&subject).await?;
        Ok(Arc::new(Reader::new(
            Arc::clone(&self.connections),
            Arc::clone(model),
            subject,
        )))
    }
}
