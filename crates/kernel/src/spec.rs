//! The given/when/then kit: a context's rules as sentences.
//!
//! ```text
//! given::<Orders>([placed(ORDER)])
//!     .when(Approve { order_id: ORDER })
//!     .then([approved(ORDER)]);
//! ```

use std::{any::Any, cell::Cell, collections::HashMap, fmt::Debug};

use uuid::Uuid;

use crate::{Caller, Decider, OtherStates, Rejection, Situation, Timestamp, UserId};

/// Starts a spec from what has happened to the user in the context under test.
pub fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let mut state = D::State::default();
    for event in events {
        D::evolve(&mut state, &event);
    }
    Given {
        state,
        others: States::default(),
        caller: Caller::open(),
        time: Timestamp::from_micros(1_500_000_000_000_000).expect("a time in 2017 is a time"),
    }
}

/// What has happened so far.
#[must_use]
pub struct Given<D: Decider> {
    state: D::State,
    others: States,
    caller: Caller,
    time: Timestamp,
}

#[derive(Default)]
struct States(HashMap<&'static str, Box<dyn Any>>);

impl OtherStates for States {
    fn state_of(&self, context: &str) -> Option<&dyn Any> {
        self.0.get(context).map(Box::as_ref)
    }
}

impl<D: Decider> Given<D> {
    /// Adds what has happened to the same user in another context.
    pub fn and_in<O: Decider>(mut self, events: impl IntoIterator<Item = O::Event>) -> Self {
        let mut state = O::State::default();
        for event in events {
            O::evolve(&mut state, &event);
        }
        self.others.0.insert(O::CONTEXT, Box::new(state));
        self
    }

    /// Sets who asks.
    pub fn by(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Sets the time of the decision.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.time = time;
        self
    }

    /// Decides a command. Fresh ids are 1, 2, 3 …, the user is [`USER`].
    pub fn when(self, command: impl Into<D::Command>) -> Outcome<D> {
        let next = Cell::new(0_u128);
        let ids = || {
            next.set(next.get() + 1);
            Uuid::from_u128(next.get())
        };
        let situation = Situation::new(USER, self.time, &self.caller, &ids, &self.others);
        Outcome(D::decide(&self.state, command.into(), &situation))
    }

    /// Returns the state, for assertions on `evolve` alone.
    pub fn state(self) -> D::State {
        self.state
    }
}

/// The user that every spec is about.
pub const USER: UserId = UserId(Uuid::from_u128(0x0115_e600_0000_4000_8000_0000_0000_0001));

/// What was decided.
#[must_use]
pub struct Outcome<D: Decider>(Result<Vec<D::Event>, D::Rejection>);

impl<D: Decider> Outcome<D>
where
    D::Event: Debug + PartialEq,
{
    /// Asserts that exactly these events come of it.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = D::Event>) {
        let expected: Vec<_> = events.into_iter().collect();
        match self.0 {
            Ok(decided) => assert_eq!(decided, expected, "decided (left), expected (right)"),
            Err(rejection) => panic!("rejected as `{}`: {rejection}", rejection.code()),
        }
    }

    /// Asserts that there was nothing to change.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// Asserts that the rules say no with this code.
    #[track_caller]
    pub fn then_rejected(self, code: &str) {
        match self.0 {
            Ok(events) => panic!("accepted as {events:?}, expected `{code}`"),
            Err(rejection) => assert_eq!(rejection.code(), code, "{rejection}"),
        }
    }
}
