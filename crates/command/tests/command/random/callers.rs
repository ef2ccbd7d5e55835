//! Callers that try again with the same key, and what they were told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foldline_command::{Accepted, Answer, CommandError, CommandSide, Request};
use foldline_kernel::{CommandId, UserId};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::USERS;
use crate::world::{add_of, request, user};

/// A command with its key, sent until there is a certain answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
}

/// One certain answer.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) key: CommandId,
    pub(crate) user: UserId,
    pub(crate) answer: Answered,
    /// The highest version of the user's counter that had been acknowledged when it was asked.
    pub(crate) at_least: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Answered {
    Accepted(Accepted),
    Unchanged(u64),
    /// With the sentence.
    Rejected(&'static str, String),
}

/// Everything that callers were told, in the order they were told it.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) told: Vec<Told>,
    acknowledged: HashMap<UserId, u64>,
}

impl Call {
    pub(crate) fn random(random: &mut StdRng, life: usize, n: usize) -> Self {
        let user = user(random.random_range(0..USERS));
        let key = format!("{life}-{n}");
        let request = match random.random_range(0..10) {
            0..6 => add_of(user, random.random_range(-4..=5), &key),
            6..8 => {
                let body = format!(r#"{{"by":{}}}"#, random.random_range(1..4));
                request(user, "counters/add-each", &body, &key)
            }
            _ => request(user, "mirrors/copy", "{}", &key),
        };
        Self { request }
    }
}

impl History {
    pub(crate) fn is_settled(&self, call: &Call) -> bool {
        self.told.iter().any(|told| told.key == call.request.key)
    }

    fn acknowledged(&self, user: UserId) -> u64 {
        self.acknowledged.get(&user).copied().unwrap_or(0)
    }

    fn note(&mut self, call: &Call, answer: Answered, at_least: u64) {
        let (key, user) = (call.request.key.clone(), call.request.user);
        let version = match &answer {
            Answered::Accepted(accepted) => accepted.version.0,
            Answered::Unchanged(version) => *version,
            Answered::Rejected(..) => 0,
        };
        if call.request.context.as_str() == "counters" {
            let acknowledged = self.acknowledged.entry(user).or_default();
            *acknowledged = version.max(*acknowledged);
        }
        self.told.push(Told {
            key,
            user,
            answer,
            at_least,
        });
    }
}

/// Sends a command until it has a certain answer, and now and then once more after that; now and
/// then the caller goes before the answer comes.
pub(crate) async fn call(
    side: Arc<CommandSide>,
    call: Call,
    history: Arc<Mutex<History>>,
    seed: u64,
) {
    let history = || history.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let at_least = history().acknowledged(call.request.user);
        let submitted = side.submit(call.request.clone());
        let answer = if random.random_bool(0.1) {
            let impatient = Duration::from_micros(random.next_u64() % 2000);
            match tokio::time::timeout(impatient, submitted).await {
                Ok(answer) => answer,
                Err(_) => continue,
            }
        } else {
            submitted.await
        };
        let certain = match answer {
            Ok(Answer::Accepted(accepted)) => Answered::Accepted(accepted),
            Ok(Answer::Unchanged { version }) => Answered::Unchanged(version.0),
            Ok(Answer::Passed(passed)) => panic!("there is one node, yet {passed:?}"),
            Err(CommandError::Rejected { code, message, .. }) => Answered::Rejected(code, message),
            Err(CommandError::OutcomeUnknown { .. }) => continue,
            Err(CommandError::Overloaded { .. }) => {
                tokio::task::yield_now().await;
                continue;
            }
            // The lane is closed for the rest of this life.
            Err(CommandError::Unavailable { .. }) => return,
            Err(other) => panic!("{call:?}: {other:?}"),
        };
        history().note(&call, certain, at_least);
        if random.random_bool(0.8) {
            return;
        }
    }
}
