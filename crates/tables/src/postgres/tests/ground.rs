//! A schema of its own for each test, on a server that is there.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::PostgresSettings;

/// Returns the address of the server that tests use.
pub(crate) fn url() -> String {
    std::env::var("FOLDLINE_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "FOLDLINE_TEST_POSTGRES does not say where Postgres is; \
             start one with `cargo xtask services up postgres`, which says what to set"
        )
    })
}

/// A schema that nobody else has; it goes with this, and so does its role.
pub(crate) struct Ground {
    pub(crate) schema: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self {
            schema: format!("test_{}", Uuid::new_v4().simple()),
        }
    }

    pub(crate) fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            schema: self.schema.clone(),
            readers_max: 4,
            ..PostgresSettings::new(url())
        }
    }

    /// Runs statements as who may do everything.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&url()).await.unwrap();
        let ran = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection);
        ran.await.unwrap();
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let schema = self.schema.clone();
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url()).await.unwrap();
                let clean = format!(
                    "SET client_min_messages = error; SET lock_timeout = '5s';
                     DROP SCHEMA IF EXISTS \"{schema}\" CASCADE; DROP ROLE IF EXISTS \"{schema}_reader\""
                );
                // What cannot be cleared away now is in nobody's way.
                let _ = sqlx::raw_sql(AssertSqlSafe(clean)).execute(&mut connection).await;
            });
        });
        let _ = cleaning.join();
    }
}
