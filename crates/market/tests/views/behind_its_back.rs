//! Changes to a node's tables that the node knows nothing of, as somebody with an editor makes
//! them.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::place::Place;

const WAITS_FOR_THE_NODE: Duration = Duration::from_secs(20);

/// Runs a statement on the table of a generation; returns how many rows it touched.
pub(crate) async fn change(place: &Place, model: &str, generation: u32, statement: &str) -> u64 {
    run(place, &format!("{model}-g{generation}.sqlite"), statement).await
}

/// Keeps any generation of any read model from coming to serve, until [`let_switch`].
pub(crate) async fn keep_from_switching(place: &Place) {
    let trigger = "CREATE TRIGGER kept BEFORE UPDATE OF state ON generations
        BEGIN SELECT RAISE(ABORT, 'kept from switching'); END";
    run(place, "registry.sqlite", trigger).await;
}

/// Ends what [`keep_from_switching`] began.
pub(crate) async fn let_switch(place: &Place) {
    run(place, "registry.sqlite", "DROP TRIGGER kept").await;
}

/// Lists the indexes that the table of a generation has beside its key.
pub(crate) async fn indexes(place: &Place, model: &str, generation: u32) -> Vec<String> {
    let mut connection = open(place, &format!("{model}-g{generation}.sqlite")).await;
    let names = "SELECT name FROM sqlite_schema
        WHERE type = 'index' AND tbl_name = 'rows' AND sql IS NOT NULL ORDER BY name";
    let names = sqlx::query_scalar(names).fetch_all(&mut connection).await;
    connection.close().await.expect("the file can be closed");
    names.expect("every file has a schema")
}

async fn open(place: &Place, file: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(place.data().join("tables").join(file))
        .busy_timeout(WAITS_FOR_THE_NODE);
    let opened = SqliteConnection::connect_with(&options).await;
    opened.unwrap_or_else(|error| panic!("{file}: {error}"))
}

async fn run(place: &Place, file: &str, statement: &str) -> u64 {
    let mut connection = open(place, file).await;
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    let done = sqlx::raw_sql(statement).execute(&mut connection).await;
    let done = done.unwrap_or_else(|error| panic!("{file}: {error}"));
    connection.close().await.expect("the file can be closed");
    done.rows_affected()
}
