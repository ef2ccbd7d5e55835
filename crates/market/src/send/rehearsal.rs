//! Decides commands by the marketplace's own rules, in memory: what a node would answer.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use foldline::kernel::{
    Caller, Commands, Decider, OtherStates, Rejection, Situation, Timestamp, UserId,
};
use market::contexts::{
    accounts::Accounts, catalog::Catalog, orders::Orders, payments::Payments, reviews::Reviews,
};
use uuid::Uuid;

use super::Command;

/// How the rules answered: events, and refusals by their codes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) accepted: usize,
    pub(crate) refused: BTreeMap<&'static str, usize>,
    /// The keys of the refused, in order.
    pub(crate) refused_keys: Vec<String>,
}

/// Decides `commands` in order; panics at one that a node would call malformed, and at one that
/// would change nothing.
pub(crate) fn rehearse(commands: &[Command]) -> Answers {
    let mut users: HashMap<Uuid, States> = HashMap::new();
    let mut answers = Answers::default();
    for command in commands {
        let states = users.entry(command.user).or_insert_with(States::new);
        let answer = match command.context {
            "accounts" => states.decide::<Accounts>(command),
            "catalog" => states.decide::<Catalog>(command),
            "orders" => states.decide::<Orders>(command),
            "payments" => states.decide::<Payments>(command),
            "reviews" => states.decide::<Reviews>(command),
            other => panic!("no context {other}"),
        };
        match answer {
            Ok(0) => panic!("{command:?} changes nothing"),
            Ok(_) => answers.accepted += 1,
            Err(code) => {
                *answers.refused.entry(code).or_default() += 1;
                answers.refused_keys.push(command.key.clone());
            }
        }
    }
    answers
}

/// One user's state in every context.
struct States(HashMap<&'static str, Box<dyn Any>>);

impl OtherStates for States {
    fn state_of(&self, context: &str) -> Option<&dyn Any> {
        self.0.get(context).map(Box::as_ref)
    }
}

impl States {
    fn new() -> Self {
        let mut states = Self(HashMap::new());
        states.add::<Accounts>();
        states.add::<Catalog>();
        states.add::<Orders>();
        states.add::<Payments>();
        states.add::<Reviews>();
        states
    }

    fn add<D: Decider>(&mut self) {
        self.0.insert(D::CONTEXT, Box::new(D::State::default()));
    }

    /// The number of events, or the code of the refusal.
    fn decide<D: Decider>(&mut self, command: &Command) -> Result<usize, &'static str> {
        let decoded = D::Command::decode(command.name, command.body.as_bytes())
            .unwrap_or_else(|| panic!("no command {}", command.name))
            .unwrap_or_else(|malformed| panic!("{malformed} in {command:?}"));
        let time = Timestamp::from_micros(command.time.as_microsecond()).unwrap();
        let caller = Caller::open();
        let situation = Situation::new(UserId(command.user), time, &caller, &Uuid::new_v4, self);
        let state = self.0[D::CONTEXT].downcast_ref::<D::State>().unwrap();
        let decided = D::decide(state, decoded, &situation).map_err(|no| no.code())?;
        let state = self.0.get_mut(D::CONTEXT).unwrap();
        let state = state.downcast_mut::<D::State>().unwrap();
        for event in &decided {
            D::evolve(state, event);
        }
        Ok(decided.len())
    }
}
