//! Reading the users of queued commands who are not in memory.

use std::{collections::VecDeque, sync::Arc};

use foldline_kernel::UserId;

use super::Submitted;
use crate::{
    Contexts,
    state::{LaneStates, Reading, StateError},
    user::User,
    users::Users,
};

/// Commands that wait for their users. One read is under way at a time, for all that were missing
/// when it began; commands whose users are in memory go on meanwhile.
///
/// A user's commands stay in their order: while a user is missing, each of its commands comes
/// here, and those that have been waited for go before all that came later.
#[derive(Default)]
pub(super) struct Fetching {
    missing: Vec<Submitted>,
    /// Those whose users are being read.
    coming: Vec<Submitted>,
    reading: Option<Reading>,
}

type Read = Result<Vec<(UserId, Option<User>)>, StateError>;

impl Fetching {
    pub(super) fn miss(&mut self, submission: Submitted) {
        self.missing.push(submission);
    }

    pub(super) fn len(&self) -> usize {
        self.missing.len() + self.coming.len()
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins to read whoever is missing, unless a read is under way.
    pub(super) fn begin(&mut self, states: &LaneStates, contexts: &Arc<Contexts>) {
        if self.reading.is_some() || self.missing.is_empty() {
            return;
        }
        self.coming = std::mem::take(&mut self.missing);
        let users = self.coming.iter().map(|command| command.request.user);
        self.reading = Some(states.read(users.collect(), contexts.clone()));
    }

    /// Waits for the read under way.
    pub(super) async fn read(&mut self) -> Read {
        let Some(reading) = &mut self.reading else {
            return Ok(Vec::new());
        };
        let read = reading.await;
        self.reading = None;
        read.map_err(StateError::from).flatten()
    }

    /// Brings those who were read into memory, and their commands before all others. Who has no
    /// state is there as well, so that it is known.
    pub(super) fn arrived(
        &mut self,
        read: Vec<(UserId, Option<User>)>,
        users: &mut Users,
        waiting: &mut VecDeque<Submitted>,
    ) {
        for (id, user) in read {
            users.arrive(id, user.unwrap_or_default());
        }
        for command in self.coming.drain(..).rev() {
            waiting.push_front(command);
        }
    }

    /// Gives all commands back, in their order.
    pub(super) fn into_commands(self) -> impl Iterator<Item = Submitted> {
        self.coming.into_iter().chain(self.missing)
    }
}
