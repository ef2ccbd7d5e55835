//! What can be in the way of what a person asks for.

use foldline_tables::{GenerationNumber, SwitchError, TableError};

/// Why a read model did not go back to its previous generation.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such read model here.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// Nothing served before, or it has been retired.
    #[error("`{0}` has no previous generation to go back to")]
    NoPrevious(String),
    /// The previous generation has not absorbed what the serving one has; try again.
    #[error("generation {generation} of `{model}` is {events_behind} events behind")]
    Behind {
        /// The read model.
        model: String,
        /// The previous generation.
        generation: GenerationNumber,
        /// How far it is behind the end of the log.
        events_behind: u64,
    },
    /// Another process was at work at the same moment; see what serves, and decide anew.
    #[error("another process switched `{model}` or retired a generation of it at the same moment")]
    Overtaken {
        /// The read model.
        model: String,
        /// The generation that serves, if that is known.
        serving: Option<GenerationNumber>,
    },
    /// The store did not do it, or did not say that it has.
    #[error("`{model}` cannot be switched back")]
    Tables {
        /// The read model.
        model: String,
        /// Why.
        source: SwitchError,
    },
    /// The projectors have stopped.
    #[error("the projectors have stopped")]
    Stopped,
}

/// Why a generation was not retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// There is no such read model here.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// There is no such generation.
    #[error("`{model}` has no generation {generation}")]
    UnknownGeneration {
        /// The read model.
        model: String,
        /// The generation.
        generation: GenerationNumber,
    },
    /// It serves.
    #[error("generation {generation} of `{model}` serves")]
    Serves {
        /// The read model.
        model: String,
        /// The generation.
        generation: GenerationNumber,
    },
    /// The store did not do it.
    #[error("a generation of `{model}` cannot be retired")]
    Tables {
        /// The read model.
        model: String,
        /// Why.
        source: TableError,
    },
    /// The projectors have stopped.
    #[error("the projectors have stopped")]
    Stopped,
}

/// Why a definition was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// There is no such read model here.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// The projectors have stopped.
    #[error("the projectors have stopped")]
    Stopped,
}
