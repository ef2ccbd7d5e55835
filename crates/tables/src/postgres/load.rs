//! Makes a generation that was loaded fit for reading.

use foldline_read_model::Model;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    names::Names,
    schema,
    settings::{INDEX_MAX, INDEX_MEMORY},
    trouble::Subject,
};

/// Makes the index of the key, without which no row is found again; the caller holds the head.
pub(crate) async fn key_index(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
    model: &Model,
) -> Result<(), sqlx::Error> {
    let table = names.rows(&subject.model, subject.number);
    let index = schema::key_index(model, subject.number, &table);
    let bounded = format!("SET LOCAL maintenance_work_mem = '{INDEX_MEMORY}'; {index}");
    sqlx::raw_sql(AssertSqlSafe(bounded))
        .execute(&mut *connection)
        .await?;
    let keyed = format!(
        "UPDATE {} SET keyed = true WHERE model = $1 AND number = $2",
        names.own("heads")
    );
    mark(connection, keyed, subject).await
}

/// Makes the indexes that the registry asks for, and statistics.
///
/// Indexes are made from the finished table, which is several times quicker than to keep them
/// while it grows.
pub(crate) async fn finish(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
) -> Result<(), sqlx::Error> {
    let wanted = format!(
        "SELECT indexes FROM {} WHERE model = $1 AND number = $2",
        names.own("generations")
    );
    let wanted: Option<Vec<String>> = sqlx::query_scalar(AssertSqlSafe(wanted))
        .bind(&subject.model)
        .bind(i64::from(subject.number.0))
        .fetch_optional(&mut *connection)
        .await?;
    make(
        connection,
        names,
        subject,
        &wanted.unwrap_or_default(),
        true,
    )
    .await?;
    let table = names.rows(&subject.model, subject.number);
    // Outside of every transaction. Rows are marked as seen by all, so that no reader has to.
    let statistics = format!("VACUUM (ANALYZE) {table}");
    sqlx::raw_sql(AssertSqlSafe(statistics))
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the indexes that a model's queries ask for, where they are missing: queries may change
/// while the rules, and so the rows, stay the same.
pub(crate) async fn index_for(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
    model: &Model,
) -> Result<(), sqlx::Error> {
    let table = names.rows(&subject.model, subject.number);
    let mut wanted = vec![schema::key_index(model, subject.number, &table)];
    wanted.extend(schema::indexes(model, subject.number, &table));
    make(connection, names, subject, &wanted, false).await
}

/// Makes indexes while the generation's head is held: two who make the same one at once would be
/// in each other's way, and commits would wait for the index in any case.
async fn make(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
    indexes: &[String],
    finishes: bool,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let finished = if finishes { ", finished = true" } else { "" };
    let marked = format!(
        "UPDATE {} SET keyed = true{finished} WHERE model = $1 AND number = $2",
        names.own("heads")
    );
    mark(&mut transaction, marked, subject).await?;
    let bounds = format!(
        "SET LOCAL statement_timeout = '{}ms'; SET LOCAL maintenance_work_mem = '{INDEX_MEMORY}'",
        INDEX_MAX.as_millis()
    );
    for statement in std::iter::once(&bounds).chain(indexes) {
        sqlx::raw_sql(AssertSqlSafe(statement.as_str()))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// Tells whether all that the registry asks for has been made.
pub(crate) async fn is_finished(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
) -> Result<bool, sqlx::Error> {
    let finished = format!(
        "SELECT finished FROM {} WHERE model = $1 AND number = $2",
        names.own("heads")
    );
    let finished = sqlx::query_scalar(AssertSqlSafe(finished))
        .bind(&subject.model)
        .bind(i64::from(subject.number.0))
        .fetch_optional(connection)
        .await?;
    Ok(finished.unwrap_or(false))
}

async fn mark(
    connection: &mut PgConnection,
    statement: String,
    subject: &Subject,
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .bind(&subject.model)
        .bind(i64::from(subject.number.0))
        .execute(connection)
        .await?;
    Ok(())
}
