//! What went wrong in Postgres, in the words of the port.

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

    /// Tells an error of Postgres on this generation.
    pub(crate) fn error(&self, doing: &str, error: Error) -> TableError {
        table_error(format!("{doing} {} g{}", self.model, self.number), error)
    }
}

/// What an error of the server means, by its code
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(crate) fn code(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Tells whether a table is not there.
pub(crate) fn no_such_table(error: &Error) -> bool {
    code(error).as_deref() == Some("42P01")
}

/// Tells whether the server gave up one of several transactions that were in each other's way:
/// nothing of it is there, and it may be tried again at once.
pub(crate) fn collided(error: &Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// Tells whether it was not the statement but the way to the server: the connection broke, or the
/// server ends, starts, or has no room.
pub(crate) fn unreachable(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Protocol(_) | Error::PoolTimedOut | Error::WorkerCrashed => true,
        _ => code(error).is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P") || code.starts_with("53")
        }),
    }
}

/// Tells an error of Postgres.
pub(crate) fn table_error(operation: String, error: Error) -> TableError {
    let trouble = match &error {
        Error::Decode(_) | Error::ColumnDecode { .. } | Error::ColumnNotFound(_) => Some(format!(
            "{error}; a replay of the read model builds its table anew"
        )),
        _ => code(&error).and_then(|code| match code.as_str() {
            "42501" => Some(format!("{error}; see the grants that it needs")),
            // A statement that does not fit the tables: they were made by something else.
            // Damaged pages: a replay writes new ones.
            _ if code.starts_with("42") || code.starts_with("3F") || code.starts_with("XX00") => {
                Some(format!(
                    "{error}; a replay of the read model builds its table anew"
                ))
            }
            _ => None,
        }),
    };
    match trouble {
        // Two of them changed the same object at once; the next attempt sees what came of it.
        Some(_) if error.to_string().contains("concurrently updated") => TableError::Unavailable {
            operation,
            source: error.into(),
        },
        Some(trouble) => TableError::Corrupt { operation, trouble },
        None => TableError::Unavailable {
            operation,
            source: error.into(),
        },
    }
}
