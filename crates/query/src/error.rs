//! Why a question has no answer.

use std::{sync::Arc, time::Duration};

use foldline_kernel::Position;
use foldline_tables::{Source, TableError};

use crate::HeldBack;

/// Why a question has no answer, one variant for each that clients can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No read model has that name.
    #[error("there is no read model `{model}`")]
    UnknownModel {
        /// The name.
        model: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The read model declares no such query.
    #[error("the read model `{model}` has no query `{query}`")]
    UnknownQuery {
        /// The read model.
        model: String,
        /// The name.
        query: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The query takes no such parameter.
    #[error("the query takes no parameter `{name}`")]
    UnknownParameter {
        /// The name.
        name: String,
        /// The names that it takes.
        known: Vec<String>,
    },
    /// A parameter is missing that the query cannot do without.
    #[error("the parameter `{name}` is missing")]
    MissingParameter {
        /// The name.
        name: String,
    },
    /// A parameter was given more than once.
    #[error("the parameter `{name}` is given more than once")]
    DuplicateParameter {
        /// The name.
        name: String,
    },
    /// A parameter's value is not of its type.
    #[error("the parameter `{name}` cannot be `{value}`: {trouble}")]
    MalformedParameter {
        /// The name.
        name: String,
        /// What was given.
        value: String,
        /// What is wrong, as a clause.
        trouble: String,
    },
    /// `limit` is out of range.
    #[error("the limit is from 1 to {max}, not {value}")]
    LimitOutOfRange {
        /// What was given.
        value: String,
        /// The most rows of one page.
        max: u32,
    },
    /// `fields` names something that the query does not return.
    #[error("the query returns no field `{name}`")]
    UnknownField {
        /// The name.
        name: String,
        /// The names that it returns.
        known: Vec<String>,
    },
    /// `order` names an order that the query does not have.
    #[error("the query has no order `{name}`")]
    UnknownOrder {
        /// The name.
        name: String,
        /// The names that it has.
        known: Vec<String>,
    },
    /// `cursor` is none of ours.
    #[error("the cursor cannot be read")]
    MalformedCursor,
    /// `cursor` came from another query, or from this one with other filters or another order.
    #[error("the cursor belongs to another query, or to other filters or another order")]
    CursorOfAnotherQuery,
    /// The generation that the cursor came from has been retired; begin again.
    #[error("the cursor is of a generation that has been retired")]
    CursorRetired,
    /// Nobody in particular asks, and the answer is not for everybody.
    #[error("the query `{query}` has to be asked by somebody")]
    Unauthenticated {
        /// The query.
        query: String,
    },
    /// The caller may not ask this.
    #[error("the caller may not ask `{query}`{}", if *.of_another { " about another user" } else { "" })]
    NotAllowed {
        /// The query.
        query: String,
        /// Whether the caller could ask it about itself.
        of_another: bool,
    },
    /// A position is of a partition that the log does not have.
    #[error("there is no position `{position}`: the log has {lanes} partitions, numbered from 0")]
    UnknownPartition {
        /// What was asked for.
        position: Position,
        /// How many partitions there are.
        lanes: u16,
    },
    /// The read model has not absorbed what the answer must have; ask again.
    #[error("the read model `{model}` is behind")]
    Behind {
        /// The read model.
        model: String,
        /// How far, for each position that it lacks.
        behind: Vec<Behind>,
    },
    /// The user is held back, so that the position will not come to be absorbed.
    #[error("the read model `{model}` holds the user back")]
    Parked {
        /// The read model.
        model: String,
        /// Who, since when and why.
        held_back: HeldBack,
    },
    /// No generation of the read model serves yet; it is being built.
    #[error("the read model `{model}` does not serve yet")]
    NotReady {
        /// The read model.
        model: String,
    },
    /// The tables cannot be reached, or too many wait; ask again.
    #[error("the read model `{model}` cannot be read now")]
    Unavailable {
        /// The read model.
        model: String,
        /// Why.
        source: Source,
    },
    /// What is stored cannot be used; asking again does not help.
    #[error("the read model `{model}` is damaged")]
    Corrupt {
        /// The read model.
        model: String,
        /// Why.
        source: Source,
    },
}

/// A position that has not been absorbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// What was asked for.
    pub asked: Position,
    /// What has been absorbed of that partition.
    pub absorbed: Position,
}

impl Behind {
    /// Returns how many events of the partition are missing.
    pub fn events(&self) -> u64 {
        self.asked.sequence.0 - self.absorbed.sequence.0
    }
}

impl QueryError {
    pub(crate) fn of_table(model: &str, error: TableError) -> Self {
        Self::of_shared_table(model, Arc::new(error))
    }

    /// The same for what several requests are told.
    pub(crate) fn of_shared_table(model: &str, error: Arc<TableError>) -> Self {
        let model = model.to_owned();
        match *error {
            TableError::Corrupt { .. } => Self::Corrupt {
                model,
                source: error.into(),
            },
            // Gone between two looks at the registry: the next look finds the one that serves.
            TableError::NoGeneration { .. }
            | TableError::Unavailable { .. }
            | TableError::Serves { .. } => Self::Unavailable {
                model,
                source: error.into(),
            },
        }
    }

    /// What is said when the time is over: how far the read model is behind, where that is why.
    pub(crate) fn late(model: &str, within: Duration, behind: Vec<Behind>) -> Self {
        let model = model.to_owned();
        if behind.is_empty() {
            let source = format!("it has not answered within {within:?}").into();
            return Self::Unavailable { model, source };
        }
        Self::Behind { model, behind }
    }

    /// Returns the outcome's name for metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Unauthenticated { .. } | Self::NotAllowed { .. } => "not_allowed",
            Self::Behind { .. } => "behind",
            Self::Parked { .. } => "parked",
            Self::NotReady { .. } | Self::Unavailable { .. } => "unavailable",
            Self::Corrupt { .. } => "corrupt",
            _ => "malformed",
        }
    }
}
