//! Rows that are not there yet, as one stream.

use foldline_read_model::{RowKey, RowValues};
use sqlx::{PgConnection, postgres::PgCopyIn};

use super::{statements::part, value, words};

/// How much is put together before it is sent.
const CHUNK_BYTES: usize = 1 << 18;
/// The signature of the format, its flags, and the length of what it says no more
/// (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();

/// A stream of rows into a table; it MUST be finished or given up.
pub(crate) struct Copy<'c> {
    stream: PgCopyIn<&'c mut PgConnection>,
    buffer: Vec<u8>,
}

impl<'c> Copy<'c> {
    pub(crate) async fn begin(
        connection: &'c mut PgConnection,
        statement: &str,
    ) -> Result<Self, sqlx::Error> {
        let mut buffer = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        buffer.extend_from_slice(HEADER);
        Ok(Self {
            stream: connection.copy_in_raw(statement).await?,
            buffer,
        })
    }

    /// Adds a whole row, with the words of the searched columns.
    pub(crate) fn push(&mut self, searched: &[usize], key: &RowKey, values: &RowValues) {
        let fields = key.len() + values.len() + searched.len();
        let fields = i16::try_from(fields).expect("the check bounds the number of columns");
        self.buffer.extend(fields.to_be_bytes());
        for value in key.iter().chain(values) {
            value::put(&mut self.buffer, value);
        }
        for column in searched {
            words::put(&mut self.buffer, part(key, values, *column));
        }
    }

    /// Sends what has come together, if it is enough.
    pub(crate) async fn flush(&mut self) -> Result<(), sqlx::Error> {
        if self.buffer.len() >= CHUNK_BYTES {
            self.stream.send(self.buffer.as_slice()).await?;
            self.buffer.clear();
        }
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<(), sqlx::Error> {
        self.buffer.extend(END);
        self.stream.send(self.buffer.as_slice()).await?;
        self.stream.finish().await?;
        Ok(())
    }

    /// Nothing of it stays; the transaction has failed.
    pub(crate) async fn give_up(self) -> Result<(), sqlx::Error> {
        self.stream.abort("a row could not be made").await
    }
}
