//! Makes a generation that was loaded fit for reading.

use foldline_read_model::Model;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::schema;

/// Makes the indexes that the file itself asks for, then copies the write-ahead log back.
///
/// Indexes are made from the finished table, which is several times quicker than to keep them
/// while it grows. There is no `ANALYZE`: without statistics SQLite takes the index that fits the
/// query, and keeps to it while the table grows.
pub(crate) async fn finish(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let indexes: Vec<String> = sqlx::query_scalar("SELECT definition FROM indexes")
        .fetch_all(&mut *connection)
        .await?;
    for index in indexes {
        execute(connection, index).await?;
    }
    // Readers may hold a part of the log back; that part is copied later.
    execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await
}

/// Makes the indexes that a model's queries ask for, where they are missing: queries may change
/// while the rules, and so the rows, stay the same.
pub(crate) async fn index_for(
    connection: &mut SqliteConnection,
    model: &Model,
) -> Result<(), sqlx::Error> {
    for index in schema::indexes(model) {
        execute(connection, index).await?;
    }
    Ok(())
}

async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}
