//! Tables in SQLite files of one directory, for all processes of one host.
//!
//! ```text
//!   registry.sqlite        which generations there are, which serves, the last number given
//!   order-g3.sqlite        rows, checkpoints, parked users of one generation
//!   order-g4.sqlite        … and of the next one, being built beside it
//! ```
//!
//! SQLite has one writer per file, so each generation has a file of its own: read models do not
//! wait for each other. Files are in WAL mode: readers see the last commit and block nobody.

mod absorbed;
mod files;
mod load;
mod reader;
mod registry;
mod rows;
mod schema;
mod select;
mod snapshot;
mod statements;
#[cfg(test)]
mod tests;
mod trouble;
mod value;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use foldline_kernel::LogId;
use foldline_read_model::Model;
use sqlx::{ConnectOptions, Connection};

use self::{files::For, reader::Reader, registry::Registry, trouble::Subject, writer::Writer};
use crate::{
    Generation, GenerationNumber, GenerationState, SwitchError, TableError, TableReader,
    TableWriter, Tables,
};

/// How long a switch waits for who reads or writes what is switched to: the commits of what
/// serves may be held back meanwhile.
const SWITCH_WAIT_MAX: Duration = Duration::from_millis(250);

/// The tables of one directory.
#[derive(Debug)]
pub struct Sqlite {
    dir: PathBuf,
    registry: Registry,
}

impl Sqlite {
    /// Opens the tables of a directory, which is made where there is none.
    ///
    /// # Errors
    /// [`TableError::Unavailable`] when the directory cannot be made or read,
    /// [`TableError::Corrupt`] when what lies in it is of another format.
    pub async fn open(dir: &Path) -> Result<Self, TableError> {
        Ok(Self {
            dir: dir.to_owned(),
            registry: Registry::open(dir).await?,
        })
    }

    /// Finds a generation in the registry and checks the format of its file.
    async fn find(&self, subject: &Subject) -> Result<GenerationState, TableError> {
        let state = self.registry.state(subject).await?;
        let doing = "open";
        let path = self.path(subject);
        if !path.exists() {
            // Unless it was retired at this moment, somebody took the file away.
            self.registry.state(subject).await?;
            return Err(subject.corrupt(doing, schema::missing_trouble(&path)));
        }
        let sql = |error| subject.error(doing, error);
        let mut connection = files::options(&path, For::Reading)
            .connect()
            .await
            .map_err(sql)?;
        let format = files::format_of(&mut connection).await.map_err(sql)?;
        if format != files::FORMAT {
            return Err(subject.corrupt(doing, schema::format_trouble(format)));
        }
        connection.close().await.map_err(sql)?;
        Ok(state)
    }

    fn path(&self, subject: &Subject) -> PathBuf {
        files::generation(&self.dir, &subject.model, subject.number)
    }
}

fn subject(model: &str, number: GenerationNumber) -> Subject {
    Subject {
        model: model.to_owned(),
        number,
    }
}

#[async_trait]
impl Tables for Sqlite {
    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        self.registry.generations(model).await
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        self.registry.create(model, log_id).await
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
        let sql = |error| subject.error("index", error);
        // A generation never serves without its indexes, whoever forgot to finish its loading.
        let mut connection = files::options(&self.path(&subject), For::Loading)
            .busy_timeout(SWITCH_WAIT_MAX)
            .connect()
            .await
            .map_err(sql)?;
        load::finish(&mut connection).await.map_err(sql)?;
        connection.close().await.map_err(sql)?;
        self.registry.switch(&subject, from).await
    }

    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError> {
        self.registry.retire(&subject(model, generation)).await
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        let subject = subject(&model.name, generation);
        let building = self.find(&subject).await? == GenerationState::Building;
        let purpose = if building { For::Loading } else { For::Writing };
        let path = self.path(&subject);
        Ok(Box::new(Writer::new(
            Arc::clone(model),
            subject,
            path,
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
        let path = self.path(&subject);
        Ok(Arc::new(Reader::new(Arc::clone(model), subject, path)))
    }
}
