//! What went wrong in CQL, in the words of the port.

use scylla::errors::{
    DbError, ExecutionError, NextPageError, NextRowError, PagerExecutionError, PrepareError,
    RequestAttemptError, RequestError,
};

use crate::{GenerationNumber, Source, TableError};

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

    pub(crate) fn error(&self, doing: &str, fault: Fault) -> TableError {
        fault.told(format!("{doing} {} g{}", self.model, self.number))
    }
}

/// Why a statement has no result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A node, or enough of them, could not be reached in time.
    Unreached(Source),
    /// The statement does not fit the tables: they are gone, or were made by something else.
    Unfit(Source),
    /// What is stored is no value of its type.
    Broken(String),
}

impl Fault {
    pub(crate) fn told(self, operation: String) -> TableError {
        match self {
            Self::Unreached(source) => TableError::Unavailable { operation, source },
            Self::Unfit(source) => TableError::Corrupt {
                operation,
                trouble: format!("{source}; a replay of the read model builds its table anew"),
            },
            Self::Broken(trouble) => TableError::Corrupt {
                operation,
                trouble: format!("{trouble}; a replay of the read model builds its table anew"),
            },
        }
    }

    pub(crate) fn source(self) -> Source {
        match self {
            Self::Unreached(source) | Self::Unfit(source) => source,
            Self::Broken(trouble) => trouble.into(),
        }
    }

    fn of(attempt: Option<&RequestAttemptError>, source: Source) -> Self {
        match attempt {
            Some(RequestAttemptError::DbError(error, _)) if is_unfit(error) => Self::Unfit(source),
            _ => Self::Unreached(source),
        }
    }
}

/// Tells whether no retry mends it. A table that is being made may be unknown to a node for a
/// moment; whoever sees that asks the registry.
fn is_unfit(error: &DbError) -> bool {
    matches!(
        error,
        DbError::Invalid | DbError::SyntaxError | DbError::ConfigError | DbError::Unauthorized
    )
}

impl From<ExecutionError> for Fault {
    fn from(error: ExecutionError) -> Self {
        let attempt = match &error {
            ExecutionError::LastAttemptError(attempt)
            | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
                first_attempt: attempt,
            }) => Some(attempt.clone()),
            _ => None,
        };
        Self::of(attempt.as_ref(), error.into())
    }
}

impl From<PrepareError> for Fault {
    fn from(error: PrepareError) -> Self {
        ExecutionError::from(error).into()
    }
}

impl From<NextPageError> for Fault {
    fn from(error: NextPageError) -> Self {
        let attempt = match &error {
            NextPageError::RequestFailure(RequestError::LastAttemptError(attempt)) => {
                Some(attempt.clone())
            }
            _ => None,
        };
        Self::of(attempt.as_ref(), error.into())
    }
}

impl From<PagerExecutionError> for Fault {
    fn from(error: PagerExecutionError) -> Self {
        match error {
            PagerExecutionError::PrepareError(error) => error.into(),
            PagerExecutionError::NextPageError(error) => error.into(),
            error => Self::Unreached(error.into()),
        }
    }
}

impl From<NextRowError> for Fault {
    fn from(error: NextRowError) -> Self {
        match error {
            NextRowError::NextPageError(error) => error.into(),
            error => Self::Broken(error.to_string()),
        }
    }
}
