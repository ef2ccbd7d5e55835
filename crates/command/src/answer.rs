//! What the command side is asked, and what it answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use foldline_kernel::{
    Caller, CommandId, Context, EventId, Lane, Malformed, Position, RejectionKind, Timestamp,
    UserId, Version,
};

use crate::{Hop, Passed};

/// A command as it comes in, not yet looked into.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose streams it is about.
    pub user: UserId,
    /// The context's name.
    pub context: Context,
    /// The command's name.
    pub command: String,
    /// Its JSON body.
    pub body: Bytes,
    /// The idempotency key; minted by the node where the caller gave none.
    pub key: CommandId,
    /// The version the stream must have (`If-Match`).
    pub if_match: Option<Version>,
    /// The time its events shall carry; now, unless an import says otherwise.
    pub time: Option<Timestamp>,
    /// Who asks.
    pub caller: Caller,
    /// What caused it.
    pub causation_id: Option<String>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// What the caller proved itself by, to be shown to the owner of the lane as well.
    pub credentials: Option<Credentials>,
    /// What another node says that passed it on; this one then decides it or refuses it.
    pub passed_on: Option<Hop>,
    /// How long its caller still waits, where that is known; the node's own bound holds as well.
    pub within: Option<Duration>,
}

/// What a caller proved itself by; it is not printed.
#[derive(Clone)]
pub struct Credentials(pub String);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// A command that took effect, or had nothing to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its events are in the log, durably.
    Accepted(Accepted),
    /// There was nothing to change: no event, and it may be decided again.
    Unchanged {
        /// The version of the stream.
        version: Version,
    },
    /// Another node, the owner of the lane, has answered; this is what it said.
    Passed(Passed),
}

/// What an accepted command left in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The events' ids and types, in order.
    pub events: Vec<(EventId, Arc<str>)>,
    /// The version of the stream with them.
    pub version: Version,
    /// The position of the last of them.
    pub position: Position,
    /// Whether this is the first answer given again.
    pub replayed: bool,
}

/// Why a command did not take effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such context.
    #[error("there is no context `{context}`; there are {}", known.join(", "))]
    UnknownContext {
        /// The name asked for.
        context: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The context has no such command.
    #[error("the context `{context}` has no command `{command}`; it has {}", known.join(", "))]
    UnknownCommand {
        /// The context.
        context: Context,
        /// The name asked for.
        command: String,
        /// Those it has.
        known: Vec<&'static str>,
    },
    /// The body is not what the command takes.
    #[error("the body of `{command}` is malformed: {malformed}")]
    Malformed {
        /// The command.
        command: String,
        /// Where, and what is wrong.
        malformed: Malformed,
    },
    /// The key was used for something else.
    #[error("the idempotency key `{key}` was used before for another command or body")]
    KeyReused {
        /// The key.
        key: CommandId,
    },
    /// The stream has another version than `If-Match` says.
    #[error("the stream has version {current}, not {expected}")]
    StaleVersion {
        /// The version it was to have.
        expected: Version,
        /// The version it has.
        current: Version,
    },
    /// The rules say no.
    #[error("{message}")]
    Rejected {
        /// The stable code.
        code: &'static str,
        /// Whether another state could accept it.
        kind: RejectionKind,
        /// The sentence.
        message: String,
    },
    /// The caller lacks a right.
    #[error("only a caller with the right to {right} may {action}")]
    NotAllowed {
        /// The right.
        right: &'static str,
        /// What it takes.
        action: &'static str,
    },
    /// The events are larger than the log takes.
    #[error(
        "the command comes to {events} events of {bytes} bytes; {events_max} of {bytes_max} bytes \
         are allowed"
    )]
    TooLarge {
        /// How many they are.
        events: usize,
        /// How many they may be.
        events_max: usize,
        /// What their data takes.
        bytes: usize,
        /// What it may take.
        bytes_max: usize,
    },
    /// The user's state cannot be trusted; an operator has to look.
    #[error("the user {user} is quarantined since {since}: {reason}")]
    Quarantined {
        /// The user.
        user: UserId,
        /// Where it began.
        since: String,
        /// Why.
        reason: String,
    },
    /// The lane has more waiting than it may; nothing was queued.
    #[error("lane {lane} has {queued} commands waiting, as many as it takes")]
    Overloaded {
        /// The lane.
        lane: Lane,
        /// How many wait.
        queued: usize,
    },
    /// The lane does not serve now; this attempt certainly left nothing.
    #[error("lane {lane} does not serve now: {reason}")]
    Unavailable {
        /// The lane.
        lane: Lane,
        /// Why.
        reason: String,
    },
    /// Another node owns the lane.
    #[error("lane {lane} is owned by another node")]
    Elsewhere {
        /// The lane.
        lane: Lane,
        /// Whether the command may have taken effect before the lane changed hands.
        maybe_taken: bool,
    },
    /// The command may or may not have taken effect; sending it again with its key settles that.
    #[error("the outcome is not known yet; send it again with the idempotency key `{key}`")]
    OutcomeUnknown {
        /// The key, minted where the caller gave none.
        key: CommandId,
    },
}

impl CommandError {
    /// Returns the word by which metrics count the outcome.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::UnknownContext { .. } | Self::UnknownCommand { .. } => "unknown",
            Self::Malformed { .. } | Self::TooLarge { .. } => "malformed",
            Self::KeyReused { .. } => "key_reused",
            Self::StaleVersion { .. } => "stale",
            Self::Rejected { .. } => "rejected",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Quarantined { .. } => "quarantined",
            Self::Overloaded { .. } => "overloaded",
            Self::Unavailable { .. } => "unavailable",
            Self::Elsewhere { .. } => "elsewhere",
            Self::OutcomeUnknown { .. } => "unknown_outcome",
        }
    }
}
