//! What went wrong in SQLite, in the words of the port.

use sqlx::Error;

use crate::{GenerationNumber, TableError};

/// Which generation an operation is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) model: String,
    pub(crate) number: GenerationNumber,
}

impl Subject {
    pub(crate) fn gone(&self) -> TableError {
        TableError::NoGeneration {
            model: self.model.clone(),
            generation: self.number,
        }
    }

    pub(crate) fn corrupt(&self, doing: &str, trouble: String) -> TableError {
        TableError::Corrupt {
            operation: format!("{doing} {} g{}", self.model, self.number),
            trouble,
        }
    }

    /// Tells an error of SQLite on this generation.
    pub(crate) fn error(&self, doing: &str, error: Error) -> TableError {
        table_error(format!("{doing} {} g{}", self.model, self.number), error)
    }
}

/// SQLite's primary result codes that no retry mends.
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;
/// A statement that does not fit the tables: they were made by something else.
const SQL_ERROR: i32 = 1;

/// Tells an error of SQLite.
pub(crate) fn table_error(operation: String, error: Error) -> TableError {
    let broken = match &error {
        Error::Decode(_) | Error::ColumnDecode { .. } => true,
        _ => matches!(
            primary_code(&error),
            Some(CORRUPT | NOT_A_DATABASE | SQL_ERROR)
        ),
    };
    if broken {
        TableError::Corrupt {
            operation,
            trouble: format!("{error}; a replay of the read model builds its table anew"),
        }
    } else {
        TableError::Unavailable {
            operation,
            source: error.into(),
        }
    }
}

/// Returns SQLite's result code without the extended part.
fn primary_code(error: &Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
