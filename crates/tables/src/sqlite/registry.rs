//! Which generations there are, and which of them serves.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use foldline_kernel::LogId;
use foldline_read_model::{Model, Revision};
use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool,
    sqlite::{SqlitePoolOptions, SqliteRow},
};

use super::{
    files::{self, For},
    schema,
    trouble::{Subject, table_error},
};
use crate::{Generation, GenerationNumber, GenerationState, SwitchError, TableError};

/// How many connections read and how many write at once: whoever looks which generation serves
/// does not wait for somebody who changes it.
const CONNECTIONS_MAX: u32 = 2;
/// How long one waits for a connection before it is told `unavailable`.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The registry file of one directory.
#[derive(Debug)]
pub(crate) struct Registry {
    dir: PathBuf,
    readers: SqlitePool,
    writers: SqlitePool,
}

impl Registry {
    /// Opens the registry of a directory, which is made where there is none.
    pub(crate) async fn open(dir: &Path) -> Result<Self, TableError> {
        let path = files::registry(dir);
        let doing = || format!("open {}", path.display());
        let unavailable = |error: std::io::Error| table_error(doing(), error.into());
        std::fs::create_dir_all(dir).map_err(unavailable)?;
        let sql = |error| table_error(doing(), error);
        let mut first = files::create(&path, schema::REGISTRY).await.map_err(sql)?;
        let format = files::format_of(&mut first).await.map_err(sql)?;
        if format != files::FORMAT {
            return Err(TableError::Corrupt {
                operation: doing(),
                trouble: schema::format_trouble(format),
            });
        }
        let pool = |purpose| {
            SqlitePoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .acquire_timeout(WAIT_MAX)
                .test_before_acquire(false)
                .connect_lazy_with(files::options(&path, purpose))
        };
        Ok(Self {
            dir: dir.to_owned(),
            readers: pool(For::Reading),
            writers: pool(For::Writing),
        })
    }

    /// Lists the generations of a model, oldest first.
    pub(crate) async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        let sql = |error| table_error(format!("read the generations of {model}"), error);
        let mut connection = self.readers.acquire().await.map_err(sql)?;
        list(&mut connection, model).await.map_err(sql)
    }

    /// Returns the state of a generation that has not been retired.
    pub(crate) async fn state(&self, subject: &Subject) -> Result<GenerationState, TableError> {
        let generations = self.generations(&subject.model).await?;
        let mut generations = generations.into_iter();
        let found = generations.find(|known| known.number == subject.number);
        found.map(|known| known.state).ok_or_else(|| subject.gone())
    }

    /// Makes a generation: its number, its file and its row, or none of them.
    pub(crate) async fn create(
        &self,
        model: &Model,
        log_id: LogId,
    ) -> Result<Generation, TableError> {
        let doing = || format!("create a generation of {}", model.name);
        let sql = |error| table_error(doing(), error);
        let mut connection = self.writers.acquire().await.map_err(sql)?;
        let mut transaction = connection
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(sql)?;
        self.sweep(&mut transaction, &model.name).await?;
        let generation = insert(&mut transaction, model, log_id).await.map_err(sql)?;
        let path = files::generation(&self.dir, &model.name, generation.number);
        let tables = schema::tables(model);
        let made = files::create(&path, &tables).await.map_err(sql)?;
        made.close().await.map_err(sql)?;
        transaction.commit().await.map_err(sql)?;
        Ok(generation)
    }

    /// Makes a generation serve in place of the one that does, if that is still the expected one.
    pub(crate) async fn switch(
        &self,
        subject: &Subject,
        from: Option<GenerationNumber>,
    ) -> Result<(), SwitchError> {
        let sql = |error| SwitchError::from(subject.error("switch to", error));
        let mut connection = self.writers.acquire().await.map_err(sql)?;
        let mut transaction = connection
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(sql)?;
        let listed = list(&mut transaction, &subject.model).await.map_err(sql)?;
        if !listed.iter().any(|known| known.number == subject.number) {
            return Err(subject.gone().into());
        }
        let serving = listed
            .iter()
            .find(|known| known.state == GenerationState::Serving)
            .map(|known| known.number);
        if serving == Some(subject.number) {
            return Ok(());
        }
        if serving != from {
            return Err(SwitchError::Overtaken {
                model: subject.model.clone(),
                serving,
            });
        }
        for (state, number) in [("previous", from), ("serving", Some(subject.number))] {
            let Some(number) = number else { continue };
            sqlx::query("UPDATE generations SET state = ? WHERE model = ? AND number = ?")
                .bind(state)
                .bind(&subject.model)
                .bind(i64::from(number.0))
                .execute(&mut *transaction)
                .await
                .map_err(sql)?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|error| SwitchError::Unknown {
            model: subject.model.clone(),
            source: error.into(),
        })
    }

    /// Removes a generation that does not serve: first from the registry, so that nobody finds it
    /// any more, then its file.
    pub(crate) async fn retire(&self, subject: &Subject) -> Result<(), TableError> {
        let sql = |error| subject.error("retire", error);
        let mut connection = self.writers.acquire().await.map_err(sql)?;
        let mut transaction = connection
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(sql)?;
        let generations = list(&mut transaction, &subject.model).await.map_err(sql)?;
        let found = generations
            .iter()
            .find(|known| known.number == subject.number);
        match found.map(|known| known.state) {
            None => return Err(subject.gone()),
            Some(GenerationState::Serving) => {
                return Err(TableError::Serves {
                    model: subject.model.clone(),
                    generation: subject.number,
                });
            }
            Some(GenerationState::Building | GenerationState::Previous) => {}
        }
        sqlx::query("DELETE FROM generations WHERE model = ? AND number = ?")
            .bind(&subject.model)
            .bind(i64::from(subject.number.0))
            .execute(&mut *transaction)
            .await
            .map_err(sql)?;
        transaction.commit().await.map_err(sql)?;
        self.discard(&subject.model, subject.number).await
    }

    /// Removes files that a crash left without a row. The registry is locked meanwhile, so none
    /// of them is just being made.
    async fn sweep(&self, registry: &mut SqliteConnection, model: &str) -> Result<(), TableError> {
        let doing = || format!("look for left-over generations of {model}");
        let known = list(registry, model)
            .await
            .map_err(|error| table_error(doing(), error))?;
        let numbers = files::generations(&self.dir, model)
            .map_err(|error| table_error(doing(), error.into()))?;
        for number in numbers {
            if !known.iter().any(|generation| generation.number == number) {
                self.discard(model, number).await?;
            }
        }
        Ok(())
    }

    async fn discard(&self, model: &str, number: GenerationNumber) -> Result<(), TableError> {
        let path = files::generation(&self.dir, model, number);
        if let Err(error) = mark_retired(&path).await {
            tracing::warn!(
                model,
                %number,
                error = &error as &dyn std::error::Error,
                "readers that have a retired generation open were not told"
            );
        }
        files::remove(&path)
            .map_err(|error| table_error(format!("remove {}", path.display()), error.into()))
    }
}

/// Tells whoever has the file open that it is gone: a removed file stays readable for them, and a
/// writer would go on writing into nothing.
async fn mark_retired(path: &Path) -> Result<(), sqlx::Error> {
    use sqlx::ConnectOptions;
    let mut connection = files::options(path, For::Writing).connect().await?;
    sqlx::query("INSERT OR IGNORE INTO retired VALUES (1)")
        .execute(&mut connection)
        .await?;
    connection.close().await
}

async fn insert(
    registry: &mut SqliteConnection,
    model: &Model,
    log_id: LogId,
) -> Result<Generation, sqlx::Error> {
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO numbers VALUES (?, 1)
         ON CONFLICT (model) DO UPDATE SET last = last + 1 RETURNING last",
    )
    .bind(model.name.as_ref())
    .fetch_one(&mut *registry)
    .await?;
    sqlx::query("INSERT INTO generations VALUES (?, ?, ?, ?, ?, 'building')")
        .bind(model.name.as_ref())
        .bind(number)
        .bind(&model.revision.0)
        .bind(model.definition.as_ref())
        .bind(log_id.0.as_bytes().as_slice())
        .execute(registry)
        .await?;
    Ok(Generation {
        model: model.name.to_string(),
        number: number_of(number)?,
        revision: model.revision.clone(),
        definition: model.definition.to_string(),
        log_id,
        state: GenerationState::Building,
    })
}

async fn list(
    registry: &mut SqliteConnection,
    model: &str,
) -> Result<Vec<Generation>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT model, number, revision, definition, log_id, state FROM generations
         WHERE model = ? ORDER BY number",
    )
    .bind(model)
    .fetch_all(registry)
    .await?;
    rows.iter().map(generation).collect()
}

fn generation(row: &SqliteRow) -> Result<Generation, sqlx::Error> {
    let log_id = uuid::Uuid::from_slice(row.try_get(4)?)
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    let state: &str = row.try_get(5)?;
    Ok(Generation {
        model: row.try_get(0)?,
        number: number_of(row.try_get(1)?)?,
        revision: Revision(row.try_get(2)?),
        definition: row.try_get(3)?,
        log_id: LogId(log_id),
        state: match state {
            "serving" => GenerationState::Serving,
            "previous" => GenerationState::Previous,
            "building" => GenerationState::Building,
            other => {
                let trouble = format!("`{other}` is no state of a generation");
                return Err(sqlx::Error::Decode(trouble.into()));
            }
        },
    })
}

fn number_of(number: i64) -> Result<GenerationNumber, sqlx::Error> {
    u32::try_from(number)
        .map(GenerationNumber)
        .map_err(|error| sqlx::Error::Decode(error.into()))
}
