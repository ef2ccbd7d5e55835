//! The heart of a context: a pure decision over the state of one user.

use crate::{Commands, Situation};

/// One bounded context: which commands it takes, what it decides, what state it decides from.
///
/// Implementations MUST be pure and synchronous: no clock, no randomness, no I/O; time and fresh
/// ids come with the [`Situation`]. `evolve` MUST be total, since a fact is never refused. State
/// SHOULD hold what decisions need and no more: it stays in memory and goes into snapshots.
pub trait Decider: 'static {
    /// The context's name, as it stands in topics, positions and URLs.
    const CONTEXT: &'static str;
    /// The revision of `State`: raise it with any change of its shape or of `evolve`, so that
    /// snapshots of the older rules are folded anew.
    const STATE_REVISION: u32;

    /// What decisions are made from; a user without events has the default one.
    type State: Default + Send + Sync + 'static;
    /// What the context can be asked to do.
    type Command: Commands;
    /// What happens in the context.
    type Event: Send + Sync + 'static;
    /// Why the rules may say no.
    type Rejection: Rejection;

    /// Decides a command; no event means that there was nothing to change.
    ///
    /// # Errors
    /// The rejection, when the rules say no.
    fn decide(
        state: &Self::State,
        command: Self::Command,
        situation: &Situation<'_>,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Folds one event into the state.
    fn evolve(state: &mut Self::State, event: &Self::Event);
}

/// Whether another state of the user could have let the command through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectionKind {
    /// No state could accept it (HTTP 422).
    Impossible,
    /// This state does not accept it, another one could (HTTP 409).
    Conflict,
}

/// A typed "no" of the rules; its `Display` is the sentence a client reads.
pub trait Rejection: std::fmt::Display + std::fmt::Debug + Send + 'static {
    /// The stable code that clients match on, such as `order-already-placed`.
    fn code(&self) -> &'static str;
    /// Whether another state could accept the command.
    fn kind(&self) -> RejectionKind;
}
