//! What a process does of all that an application is.

use crate::configuration::Configuration;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Dev,
    /// Takes commands and appends events.
    Command,
    /// Keeps the read models up.
    Projector,
    /// Answers from the read models; it cannot reach the log.
    Query,
}

impl Role {
    /// Refuses what the role cannot do with what it was given.
    ///
    /// # Errors
    /// When it needs a log that another process may have open as well.
    pub(crate) fn check(self, configuration: &Configuration) -> anyhow::Result<()> {
        anyhow::ensure!(
            self != Self::Projector || configuration.log.kafka.is_some(),
            "an embedded log belongs to one process, so projectors of their own need the log on \
             Kafka: add `--kafka HOST:PORT`, or run everything in one process with `dev`"
        );
        Ok(())
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::Command => "command",
            Self::Projector => "projector",
            Self::Query => "query",
        })
    }
}
