//! What is going to be said to the node, and the ids and the chance that the seed decides.

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::send::{Action, Command};

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// The commands of a demo so far; times are ages in seconds before the present.
pub(super) struct Script {
    seed: u64,
    now: Timestamp,
    commands: Vec<Command>,
}

impl Script {
    /// An empty script that happened before `now`.
    pub(super) fn new(seed: u64, now: Timestamp) -> Self {
        let now = Timestamp::from_second(now.as_second()).expect("whole seconds of a valid time");
        Self {
            seed,
            now,
            commands: Vec::new(),
        }
    }

    /// The present, in whole seconds.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The id of the thing called `name`: the same for the same seed.
    pub(super) fn id(&self, name: &str) -> Uuid {
        let name = format!("foldline-demo/{}/{name}", self.seed);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    }

    /// Chance of its own for the actor called `name`, so that more actors change nobody's.
    pub(super) fn chance(&self, name: &str) -> StdRng {
        StdRng::seed_from_u64(self.id(name).as_u64_pair().0)
    }

    /// Adds a command, `age` seconds ago; `what` tells it from others of its name and user.
    pub(super) fn say(&mut self, user: Uuid, action: &Action, age: i64, what: &str) {
        let time = self.now - SignedDuration::from_secs(age);
        let source = format!("demo:{}", self.seed);
        self.commands
            .push(Command::new(user, action, time, &source, what));
    }

    /// What is to be sent, each user's commands in the order of their times.
    pub(super) fn into_commands(mut self) -> Vec<Command> {
        self.commands.sort_by_key(|command| command.time);
        self.commands
    }
}
