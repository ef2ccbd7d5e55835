//! What a decision may know besides its state and command.

use std::{any::Any, fmt};

use uuid::Uuid;

use crate::{Caller, Decider, Timestamp, UserId};

/// The user's states in the other contexts, as of the instant of the decision.
pub trait OtherStates {
    /// Returns the state of a context by name; `None` where the application has no such context.
    fn state_of(&self, context: &str) -> Option<&dyn Any>;
}

/// The time, the ids, the caller and the user's state elsewhere: every input of a decision that
/// is neither its state nor its command.
pub struct Situation<'a> {
    /// The user whose streams are decided on.
    pub user: UserId,
    /// The time the events of this decision will carry.
    pub time: Timestamp,
    /// Who asks, and with which rights.
    pub caller: &'a Caller,
    ids: &'a dyn Fn() -> Uuid,
    others: &'a dyn OtherStates,
}

impl<'a> Situation<'a> {
    /// Brings the inputs of one decision together.
    pub fn new(
        user: UserId,
        time: Timestamp,
        caller: &'a Caller,
        ids: &'a dyn Fn() -> Uuid,
        others: &'a dyn OtherStates,
    ) -> Self {
        Self {
            user,
            time,
            caller,
            ids,
            others,
        }
    }

    /// Returns an id that nobody else has.
    pub fn fresh_id(&self) -> Uuid {
        (self.ids)()
    }

    /// Returns the user's state in another context, as of this very instant.
    ///
    /// # Panics
    /// When the application does not have that context: a fault of its wiring, which the first
    /// decision shows (and which quarantines that user, not the lane).
    pub fn state_of<D: Decider>(&self) -> &D::State {
        self.others
            .state_of(D::CONTEXT)
            .and_then(<dyn Any>::downcast_ref)
            .unwrap_or_else(|| panic!("this application has no context `{}`", D::CONTEXT))
    }
}

impl fmt::Debug for Situation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Situation")
            .field("user", &self.user)
            .field("time", &self.time)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
