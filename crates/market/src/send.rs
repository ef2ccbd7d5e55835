//! Sends commands to a running node over HTTP: in order for each user, many users at a time.
//!
//! A user's next command leaves only when the one before it was answered, so the node decides
//! them in the order given. Different users are independent and go out side by side, as many as
//! `--concurrency` allows. Every command carries an idempotency key, therefore a lost answer, a
//! node that restarts and a second run are all settled by sending the same command again.
//!
//! Start reading at [`send`]; `user` holds the retries, `answer` what an answer means.

mod action;
mod answer;
mod args;
mod progress;
#[cfg(test)]
pub(crate) mod rehearsal;
mod run;
mod summary;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use action::{Action, Line, ListProduct, Register, Write};
pub(crate) use args::SendArgs;
pub(crate) use run::{SendError, send};
pub(crate) use summary::{Ended, Report};

/// One command that is ready to be sent: whose it is, what it says and under which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The user in whose stream the command is decided.
    pub(crate) user: Uuid,
    /// The context that decides it, as in the URL.
    pub(crate) context: &'static str,
    /// The command's name, as in the URL.
    pub(crate) name: &'static str,
    /// The idempotency key: the same for the same command in every run.
    pub(crate) key: String,
    /// When it is said to have happened.
    pub(crate) time: Timestamp,
    /// The JSON body; its bytes are part of what the key stands for.
    pub(crate) body: String,
}

impl Command {
    /// Makes the command of `action`; its key is `source:name:what`.
    pub(crate) fn new(
        user: Uuid,
        action: &Action,
        time: Timestamp,
        source: &str,
        what: &str,
    ) -> Self {
        let (context, name) = action.route();
        let key = format!("{source}:{name}:{what}");
        debug_assert!(key.len() <= 128, "a node takes keys of at most 128 bytes");
        Self {
            user,
            context,
            name,
            key,
            time,
            body: action.to_json(),
        }
    }
}

/// Groups commands by user, in the order in which the users first appear, each user's in order.
fn by_user(commands: Vec<Command>) -> Vec<Vec<Command>> {
    let mut places = HashMap::new();
    let mut users: Vec<Vec<Command>> = Vec::new();
    for command in commands {
        let place = *places.entry(command.user).or_insert(users.len());
        if place == users.len() {
            users.push(Vec::new());
        }
        users[place].push(command);
    }
    users
}

/// Ready once somebody presses Ctrl-C, for [`send`]'s `interrupt`.
pub(crate) async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No signals on this system: nobody can interrupt this way.
        std::future::pending::<()>().await;
    }
}
