//! Foldline's own tables: made, brought up to date, and opened to who reads.

use sqlx::{Acquire, AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use super::{
    names::{Names, quoted},
    settings::PostgresSettings,
    trouble::{self, table_error},
};
use crate::TableError;

/// Every change of Foldline's own tables, oldest first; the number of the last one is the format.
/// They are on disk: a change is a further one, never another text of an old one.
const MIGRATIONS: &[&str] = &["
CREATE TABLE generations (
  model text COLLATE \"C\" NOT NULL, number bigint NOT NULL, revision text NOT NULL,
  definition text NOT NULL, log_id uuid NOT NULL, state text NOT NULL
    CHECK (state IN ('building', 'serving', 'previous')),
  -- What makes a loaded table fit for reading.
  indexes text[] NOT NULL, made_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (model, number)
);
CREATE UNIQUE INDEX one_serves ON generations (model) WHERE state = 'serving';
-- The last number of each model: a number is never given twice.
CREATE TABLE numbers (model text COLLATE \"C\" PRIMARY KEY, last bigint NOT NULL);
-- Whoever commits to a generation holds its row, and counts.
CREATE TABLE heads (
  model text COLLATE \"C\" NOT NULL, number bigint NOT NULL, commits bigint NOT NULL,
  keyed boolean NOT NULL, finished boolean NOT NULL, PRIMARY KEY (model, number)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);
CREATE TABLE checkpoints (
  model text COLLATE \"C\" NOT NULL, number bigint NOT NULL, lane integer NOT NULL,
  lane_sequence bigint NOT NULL, checkpoint text NOT NULL, PRIMARY KEY (model, number, lane)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);
CREATE TABLE parked (
  model text COLLATE \"C\" NOT NULL, number bigint NOT NULL, \"user\" uuid NOT NULL,
  lane integer NOT NULL, lane_sequence bigint NOT NULL, position text NOT NULL,
  reason text NOT NULL, PRIMARY KEY (model, number, \"user\")
);"];

/// Foldline's own tables, for grants.
const OWN: [&str; 6] = [
    "migrations",
    "generations",
    "numbers",
    "heads",
    "checkpoints",
    "parked",
];

/// How often a start is tried that another one, in another database, was in the way of: roles
/// belong to the server as a whole.
const ATTEMPTS: u32 = 5;

/// Brings Foldline's own tables up to date, whoever else starts at this moment.
///
/// # Errors
/// When the role may not, with the statements that somebody else has to run; when the tables are of
/// a newer version; when the server cannot be reached.
pub(crate) async fn run(pool: &PgPool, settings: &PostgresSettings) -> Result<(), TableError> {
    let mut attempts = 1;
    loop {
        match attempt(pool, settings).await {
            Err(TableError::Unavailable { source, .. })
                if attempts < ATTEMPTS && source.to_string().contains("concurrently") =>
            {
                attempts += 1;
            }
            done => return done,
        }
    }
}

async fn attempt(pool: &PgPool, settings: &PostgresSettings) -> Result<(), TableError> {
    let names = Names {
        schema: settings.schema.clone(),
    };
    let mut connection = pool
        .acquire()
        .await
        .map_err(|error| told(settings, error))?;
    if version(&mut connection, &names).await? == Some(MIGRATIONS.len())
        && opened(&mut connection, settings).await?
    {
        return Ok(());
    }
    let sql = |error| told(settings, error);
    let mut transaction = connection.begin().await.map_err(sql)?;
    // One at a time in each schema; it lets go with the transaction.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("foldline migrations of {}", settings.schema))
        .execute(&mut *transaction)
        .await
        .map_err(sql)?;
    migrate(&mut transaction, settings, &names).await?;
    open_to_readers(&mut transaction, settings)
        .await
        .map_err(sql)?;
    transaction.commit().await.map_err(sql)
}

async fn migrate(
    transaction: &mut Transaction<'_, Postgres>,
    settings: &PostgresSettings,
    names: &Names,
) -> Result<(), TableError> {
    let sql = |error| told(settings, error);
    let at = version(transaction, names).await?.unwrap_or(0);
    let schema = quoted(&settings.schema);
    if at == 0 {
        let known = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)";
        let known: bool = sqlx::query_scalar(known)
            .bind(&settings.schema)
            .fetch_one(&mut **transaction)
            .await
            .map_err(sql)?;
        // Somebody who may make schemas may have made it for a role that may not.
        if !known {
            script(transaction, format!("CREATE SCHEMA {schema}"))
                .await
                .map_err(sql)?;
        }
        let table = names.own("migrations");
        let table = format!(
            "CREATE TABLE {table} (
               version integer PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now())"
        );
        script(transaction, table).await.map_err(sql)?;
    }
    script(transaction, format!("SET LOCAL search_path = {schema}"))
        .await
        .map_err(sql)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(at) {
        script(transaction, (*migration).to_owned())
            .await
            .map_err(sql)?;
        sqlx::query("INSERT INTO migrations (version) VALUES ($1)")
            .bind(i32::try_from(index + 1).expect("a handful of migrations"))
            .execute(&mut **transaction)
            .await
            .map_err(sql)?;
    }
    Ok(())
}

/// Makes the role that can only select, and lets it.
async fn open_to_readers(
    transaction: &mut Transaction<'_, Postgres>,
    settings: &PostgresSettings,
) -> Result<(), sqlx::Error> {
    let role = settings.reader_role();
    if !exists(transaction, &role).await? {
        // Two databases of one server may come here at once.
        let make = format!(
            "DO $do$ BEGIN CREATE ROLE {} NOLOGIN;
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $do$",
            quoted(&role)
        );
        script(transaction, make).await?;
    }
    let may: bool = sqlx::query_scalar("SELECT pg_has_role(current_user, $1::name, 'MEMBER')")
        .bind(&role)
        .fetch_one(&mut **transaction)
        .await?;
    if !may || made_only(transaction, &role).await? {
        let take_on = format!("GRANT {} TO CURRENT_USER", quoted(&role));
        script(transaction, take_on).await?;
    }
    script(transaction, grants(settings)).await
}

/// Since Postgres 16, who makes a role may grant it, and is not yet allowed to take it on.
async fn made_only(
    transaction: &mut Transaction<'_, Postgres>,
    role: &str,
) -> Result<bool, sqlx::Error> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer")
        .fetch_one(&mut **transaction)
        .await?;
    if version < 160_000 {
        return Ok(false);
    }
    sqlx::query_scalar("SELECT NOT pg_has_role(current_user, $1::name, 'SET')")
        .bind(role)
        .fetch_one(&mut **transaction)
        .await
}

fn grants(settings: &PostgresSettings) -> String {
    let names = Names {
        schema: settings.schema.clone(),
    };
    let own: Vec<_> = OWN.iter().map(|table| names.own(table)).collect();
    let role = quoted(&settings.reader_role());
    format!(
        "GRANT USAGE ON SCHEMA {} TO {role};\nGRANT SELECT ON {} TO {role};",
        quoted(&settings.schema),
        own.join(", "),
    )
}

async fn exists(connection: &mut PgConnection, role: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(connection)
        .await
}

/// Tells whether the reading role is there and can read.
async fn opened(
    connection: &mut PgConnection,
    settings: &PostgresSettings,
) -> Result<bool, TableError> {
    let sql = |error| told(settings, error);
    let role = settings.reader_role();
    if !exists(connection, &role).await.map_err(sql)? {
        return Ok(false);
    }
    sqlx::query_scalar(
        "SELECT has_schema_privilege($1::name, $2, 'USAGE')
            AND has_table_privilege($1::name, $2 || '.parked', 'SELECT')
            AND pg_has_role(current_user, $1::name, 'MEMBER')",
    )
    .bind(&role)
    .bind(&settings.schema)
    .fetch_one(connection)
    .await
    .map_err(sql)
}

/// Returns the version of the tables; none where there are none.
///
/// # Errors
/// When they are newer than this program, or cannot be read.
pub(crate) async fn version(
    connection: &mut PgConnection,
    names: &Names,
) -> Result<Option<usize>, TableError> {
    let doing = || format!("read the version of the schema {}", names.schema);
    let table = names.own("migrations");
    let read = format!("SELECT coalesce(max(version), 0) FROM {table}");
    // Not by `to_regclass`, which may answer from before another one made it.
    let known = "SELECT EXISTS (
        SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'migrations')";
    let known = sqlx::query_scalar::<_, bool>(known)
        .bind(&names.schema)
        .fetch_one(&mut *connection)
        .await;
    if !known.map_err(|error| table_error(doing(), error))? {
        return Ok(None);
    }
    let version: i32 = sqlx::query_scalar(AssertSqlSafe(read))
        .fetch_one(connection)
        .await
        .map_err(|error| table_error(doing(), error))?;
    let version = usize::try_from(version).unwrap_or_default();
    if version > MIGRATIONS.len() {
        return Err(TableError::Corrupt {
            operation: doing(),
            trouble: format!(
                "it has version {version}, this program knows {}; go on with the program that \
                 made it",
                MIGRATIONS.len()
            ),
        });
    }
    Ok(Some(version))
}

/// Tells whether a process that only reads finds what it needs.
pub(crate) async fn check(pool: &PgPool, settings: &PostgresSettings) -> Result<(), TableError> {
    let mut connection = pool
        .acquire()
        .await
        .map_err(|error| told(settings, error))?;
    let names = Names {
        schema: settings.schema.clone(),
    };
    if version(&mut connection, &names).await? == Some(MIGRATIONS.len()) {
        return Ok(());
    }
    Err(TableError::Unavailable {
        operation: format!("read the schema {}", settings.schema),
        source: "a process that writes has not made its tables yet".into(),
    })
}

async fn script(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

/// Tells what went wrong, and what to do about it where the role may not.
fn told(settings: &PostgresSettings, error: sqlx::Error) -> TableError {
    let operation = format!("set up the schema {} in Postgres", settings.schema);
    if trouble::code(&error).as_deref() != Some("42501") {
        return table_error(operation, error);
    }
    let (schema, role) = (quoted(&settings.schema), quoted(&settings.reader_role()));
    TableError::Corrupt {
        operation,
        trouble: format!(
            "{error}; let somebody run who may, with the role that writes in place of WRITER:\n\
             CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION WRITER;\n\
             CREATE ROLE {role} NOLOGIN;\n\
             GRANT {role} TO WRITER;"
        ),
    }
}
