//! A finished table, as it lies in the file of a generation.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sqlx::{
    Arguments as _, ConnectOptions, Connection, Decode, Row, SqliteConnection, TypeInfo, ValueRef,
    sqlite::{Sqlite, SqliteArguments, SqliteConnectOptions, SqliteRow, SqliteValueRef},
};

/// The rows of a generation, in the order of their keys, and the statements that make its table.
pub(crate) struct Finished {
    /// `CREATE TABLE rows …`.
    pub(crate) table: String,
    /// `CREATE INDEX …`, for each index.
    pub(crate) indexes: Vec<String>,
    /// Every row.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// One value, as SQLite has it.
#[derive(Debug)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Finished {
    /// Reads a generation's file.
    ///
    /// # Errors
    /// When there is no such file, or it is none of a generation.
    pub(crate) async fn read(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let opened = options.connect().await;
        let mut connection = opened.with_context(|| format!("cannot read {}", file.display()))?;
        let made = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'rows' AND sql IS NOT NULL";
        let (mut tables, indexes): (Vec<String>, Vec<String>) =
            sqlx::query_scalar::<_, String>(made)
                .fetch_all(&mut connection)
                .await?
                .into_iter()
                .partition(|sql| sql.starts_with("CREATE TABLE"));
        let rows = read_rows(&mut connection).await?;
        connection.close().await?;
        Ok(Self {
            table: tables.pop().context("the file has no table `rows`")?,
            indexes,
            rows,
        })
    }
}

async fn read_rows(connection: &mut SqliteConnection) -> Result<Vec<Vec<Cell>>> {
    let rows = sqlx::query("SELECT * FROM rows")
        .fetch_all(connection)
        .await?;
    rows.iter().map(row).collect()
}

fn row(row: &SqliteRow) -> Result<Vec<Cell>> {
    (0..row.len())
        .map(|index| Cell::read(row.try_get_raw(index)?))
        .collect()
}

fn decoded<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>, kind: &str) -> Result<T> {
    T::decode(value).map_err(|error| anyhow::anyhow!("a {kind} cannot be read: {error}"))
}

impl Cell {
    fn read(value: SqliteValueRef<'_>) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::Null);
        }
        let kind = value.type_info().name().to_owned();
        Ok(match kind.as_str() {
            "INTEGER" => Self::Integer(decoded(value, &kind)?),
            "TEXT" => Self::Text(decoded(value, &kind)?),
            "BLOB" => Self::Blob(decoded(value, &kind)?),
            _ => bail!("a table of a read model has no {kind}"),
        })
    }

    /// Binds the value as the next parameter.
    pub(crate) fn bind(&self, arguments: &mut SqliteArguments) -> Result<()> {
        match self {
            Self::Null => arguments.add(None::<i64>),
            Self::Integer(number) => arguments.add(*number),
            Self::Text(text) => arguments.add(text.clone()),
            Self::Blob(bytes) => arguments.add(bytes.clone()),
        }
        .map_err(|error| anyhow::anyhow!("a value cannot be bound: {error}"))
    }
}
