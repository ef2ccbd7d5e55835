//! Which generations there are, and which of them serves.

use foldline_kernel::LogId;
use foldline_read_model::{Model, Revision};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use super::{
    names::{self, Names, quoted},
    schema,
    settings::{DROP_WAIT_MAX, PostgresSettings},
    trouble::{Subject, table_error},
};
use crate::{Generation, GenerationNumber, GenerationState, SwitchError, TableError};

/// Lists the generations of a model, oldest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    names: &Names,
    model: &str,
) -> Result<Vec<Generation>, TableError> {
    let sql = |error| table_error(format!("read the generations of {model}"), error);
    read(connection, names, model, "").await.map_err(sql)
}

/// Reads a model's generations; `how` may lock them.
async fn read(
    connection: &mut PgConnection,
    names: &Names,
    model: &str,
    how: &str,
) -> Result<Vec<Generation>, sqlx::Error> {
    let table = names.own("generations");
    let statement = format!(
        "SELECT model, number, revision, definition, log_id::text, state
           FROM {table} WHERE model = $1 ORDER BY number{how}"
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(model)
        .fetch_all(connection)
        .await?;
    rows.iter().map(generation).collect()
}

/// Returns the state of a generation that has not been retired.
pub(crate) async fn state(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
) -> Result<GenerationState, TableError> {
    let generations = list(connection, names, &subject.model).await?;
    let mut generations = generations.into_iter();
    let found = generations.find(|known| known.number == subject.number);
    found.map(|known| known.state).ok_or_else(|| subject.gone())
}

/// Makes a generation: its number, its table and its row, or none of them.
pub(crate) async fn create(
    pool: &sqlx::PgPool,
    settings: &PostgresSettings,
    names: &Names,
    model: &Model,
    log_id: LogId,
) -> Result<Generation, TableError> {
    let sql = |error| table_error(format!("create a generation of {}", model.name), error);
    let mut transaction = pool.begin().await.map_err(sql)?;
    let generation = insert(&mut transaction, names, model, log_id)
        .await
        .map_err(sql)?;
    let table = names.rows(&model.name, generation.number);
    let made = format!(
        "{};\nGRANT SELECT ON {table} TO {};",
        schema::table(model, &table),
        quoted(&settings.reader_role())
    );
    sqlx::raw_sql(AssertSqlSafe(made))
        .execute(&mut *transaction)
        .await
        .map_err(sql)?;
    transaction.commit().await.map_err(sql)?;
    Ok(generation)
}

async fn insert(
    connection: &mut PgConnection,
    names: &Names,
    model: &Model,
    log_id: LogId,
) -> Result<Generation, sqlx::Error> {
    let next = format!(
        "INSERT INTO {} AS numbers (model, last) VALUES ($1, 1)
         ON CONFLICT (model) DO UPDATE SET last = numbers.last + 1 RETURNING last",
        names.own("numbers")
    );
    let number: i64 = sqlx::query_scalar(AssertSqlSafe(next))
        .bind(model.name.as_ref())
        .fetch_one(&mut *connection)
        .await?;
    let generation = Generation {
        model: model.name.to_string(),
        number: number_of(number)?,
        revision: model.revision.clone(),
        definition: model.definition.to_string(),
        log_id,
        state: GenerationState::Building,
    };
    let table = names.rows(&model.name, generation.number);
    let mut indexes = vec![schema::key_index(model, generation.number, &table)];
    indexes.extend(schema::indexes(model, generation.number, &table));
    let row = format!(
        "INSERT INTO {} (model, number, revision, definition, log_id, state, indexes)
         VALUES ($1, $2, $3, $4, $5::text::uuid, 'building', $6)",
        names.own("generations")
    );
    sqlx::query(AssertSqlSafe(row))
        .bind(&generation.model)
        .bind(number)
        .bind(&generation.revision.0)
        .bind(&generation.definition)
        .bind(log_id.0.to_string())
        .bind(indexes)
        .execute(&mut *connection)
        .await?;
    let head = format!(
        "INSERT INTO {} (model, number, commits, keyed, finished) VALUES ($1, $2, 0, false, false)",
        names.own("heads")
    );
    sqlx::query(AssertSqlSafe(head))
        .bind(&generation.model)
        .bind(number)
        .execute(connection)
        .await?;
    Ok(generation)
}

/// Makes a generation serve in place of the one that does, if that is still the expected one.
pub(crate) async fn switch(
    pool: &sqlx::PgPool,
    names: &Names,
    subject: &Subject,
    from: Option<GenerationNumber>,
) -> Result<(), SwitchError> {
    let sql = |error| SwitchError::from(subject.error("switch to", error));
    let mut transaction = pool.begin().await.map_err(sql)?;
    // Of two at once the second one waits here, and sees what the first has done.
    let known = read(&mut transaction, names, &subject.model, " FOR UPDATE").await;
    let known = known.map_err(sql)?;
    if !known.iter().any(|known| known.number == subject.number) {
        return Err(subject.gone().into());
    }
    let serving = known
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
    let table = names.own("generations");
    let change = format!("UPDATE {table} SET state = $1 WHERE model = $2 AND number = $3");
    for (state, number) in [("previous", from), ("serving", Some(subject.number))] {
        let Some(number) = number else { continue };
        sqlx::query(AssertSqlSafe(change.as_str()))
            .bind(state)
            .bind(&subject.model)
            .bind(i64::from(number.0))
            .execute(&mut *transaction)
            .await
            .map_err(sql)?;
    }
    match transaction.commit().await {
        Ok(()) => Ok(()),
        // The server said no; else nobody knows what it has done.
        Err(error @ sqlx::Error::Database(_)) => Err(sql(error)),
        Err(error) => Err(SwitchError::Unknown {
            model: subject.model.clone(),
            source: error.into(),
        }),
    }
}

/// Removes a generation that does not serve from the registry, so that nobody finds it any more.
pub(crate) async fn forget(
    pool: &sqlx::PgPool,
    names: &Names,
    subject: &Subject,
) -> Result<(), TableError> {
    let sql = |error| subject.error("retire", error);
    let mut transaction = pool.begin().await.map_err(sql)?;
    let known = read(&mut transaction, names, &subject.model, " FOR UPDATE").await;
    let known = known.map_err(sql)?;
    let found = known.iter().find(|known| known.number == subject.number);
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
    // The head first: who commits at this moment comes through before, or finds nothing.
    for table in ["heads", "generations", "checkpoints", "parked"] {
        let delete = format!(
            "DELETE FROM {} WHERE model = $1 AND number = $2",
            names.own(table)
        );
        sqlx::query(AssertSqlSafe(delete))
            .bind(&subject.model)
            .bind(i64::from(subject.number.0))
            .execute(&mut *transaction)
            .await
            .map_err(sql)?;
    }
    transaction.commit().await.map_err(sql)
}

/// Drops every table of a model that the registry does not know: what was retired, and what could
/// not be dropped then, since somebody still read it.
pub(crate) async fn sweep(
    pool: &sqlx::PgPool,
    names: &Names,
    model: &str,
) -> Result<(), sqlx::Error> {
    let left = format!(
        "SELECT tablename::text FROM pg_tables
          WHERE schemaname = $1 AND tablename ~ ('^' || $2 || '_g[0-9]+$')
            AND tablename NOT IN (
              SELECT model || '_g' || number FROM {} WHERE model = $2)",
        names.own("generations")
    );
    let left: Vec<String> = sqlx::query_scalar(AssertSqlSafe(left))
        .bind(&names.schema)
        .bind(model)
        .fetch_all(pool)
        .await?;
    for table in left {
        let mut transaction = pool.begin().await?;
        // Whoever waits for the lock makes everybody wait who comes later; nobody comes here.
        let drop = format!(
            "SET LOCAL lock_timeout = '{}ms'; DROP TABLE IF EXISTS {}",
            DROP_WAIT_MAX.as_millis(),
            names.own(&table)
        );
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Tells whether a generation's table is there.
pub(crate) async fn has_table(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $2)",
    )
    .bind(&names.schema)
    .bind(names::rows(&subject.model, subject.number))
    .fetch_one(connection)
    .await
}

fn generation(row: &PgRow) -> Result<Generation, sqlx::Error> {
    let log_id: &str = row.try_get(4)?;
    let log_id = log_id
        .parse()
        .map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))?;
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
