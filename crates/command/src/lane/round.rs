//! Snapshot rounds: states are written in slices beside the serving, never in its way.

use std::{collections::VecDeque, future::Future, pin::Pin};

use foldline_event_log::{Snapshot, SnapshotError};
use foldline_kernel::{LaneSequence, UserId};

use super::{
    LaneTask,
    serving::{LaneTaskParts, Serving},
};
use crate::{
    Contexts,
    user::{self, Users},
};

/// How many users are encoded at a time, and at most one such slice per append: so a round takes
/// its time, and a command waits for a few states at most.
const SLICE_USERS: usize = 16;

type Writing = Pin<Box<dyn Future<Output = Result<(), SnapshotError>> + Send>>;

/// The rounds of one lane.
///
/// Invariant: a marker names a place up to which every event is in the snapshots. A round takes
/// every user that is dirty when it begins, at a state not older than the durable end at that
/// moment, and leaves out states that speak of events not yet durable until they are.
pub(super) struct Rounds {
    /// The durable end of the lane.
    durable: LaneSequence,
    events_since: usize,
    /// Users with something to save, for the next round: each that is dirty and not in this one.
    dirty: Vec<UserId>,
    round: Option<Round>,
    writing: Option<Writing>,
    /// Whether an append has ended since the last slice.
    due: bool,
    /// A quarantined user's state cannot be saved, and no marker may pass its events by: they are
    /// read again at the next start, where mended rules may cure it.
    forbidden: bool,
}

struct Round {
    users: VecDeque<UserId>,
    saved: Vec<UserId>,
    replay_after: LaneSequence,
    ending: bool,
}

impl Rounds {
    pub(super) fn new(durable: LaneSequence, events_since: usize) -> Self {
        Self {
            durable,
            events_since,
            dirty: Vec::new(),
            round: None,
            writing: None,
            due: false,
            forbidden: false,
        }
    }

    pub(super) fn dirty(&mut self, user: UserId) {
        self.dirty.push(user);
    }

    pub(super) fn appended(&mut self, events: usize, durable: LaneSequence) {
        self.events_since += events;
        self.due = true;
        self.durable = self.durable.max(durable);
    }

    pub(super) fn forbid(&mut self) {
        self.forbidden = true;
        self.round = None;
    }

    /// Tells, once per append, that the next slice may be written.
    pub(super) fn is_due(&mut self) -> bool {
        std::mem::take(&mut self.due)
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Waits for the slice that is being written, if there is one.
    pub(super) async fn written(&mut self) -> Result<(), SnapshotError> {
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        let written = writing.await;
        self.writing = None;
        written
    }

    /// Notes how writing a slice ended.
    pub(super) fn wrote(&mut self, written: Result<(), SnapshotError>, users: &mut Users) {
        match written {
            Ok(()) if self.round.as_ref().is_some_and(|round| round.ending) => self.round = None,
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(lane = %error.lane, source = %error.source, "snapshot round given up");
                self.give_up(users);
            }
        }
    }

    /// Whatever the round has taken is for the next one to save: a marker that passed it by would
    /// lose its events to the next start.
    fn give_up(&mut self, users: &mut Users) {
        let Some(round) = self.round.take() else {
            return;
        };
        for id in round.saved {
            if let Some(user) = users.by_id.get_mut(&id)
                && !std::mem::replace(&mut user.dirty, true)
            {
                self.dirty.push(id);
            }
        }
        self.dirty.extend(round.users);
    }

    /// Begins a round when it is due, and starts to write its next slice.
    pub(super) fn advance(
        &mut self,
        users: &mut Users,
        durable_batch: u64,
        lane: &LaneTask,
        parts: &LaneTaskParts,
    ) {
        let Some(store) = &lane.snapshots else { return };
        if self.events_since >= parts.settings.snapshot_events && self.round.is_none() {
            self.begin();
        }
        if self.writing.is_some() {
            return;
        }
        let Some(round) = &mut self.round else { return };
        let (store, lane, log_id) = (store.clone(), parts.lane, lane.log.topology().log_id);
        if round.users.is_empty() {
            round.ending = true;
            let replay_after = round.replay_after;
            self.writing = Some(Box::pin(async move {
                store.end_round(lane, log_id, replay_after).await
            }));
            return;
        }
        match take_slice(round, users, durable_batch, &parts.contexts) {
            Ok(slice) if slice.is_empty() => {}
            Ok(slice) => self.writing = Some(Box::pin(async move { store.put(lane, slice).await })),
            Err((user, error)) => {
                tracing::error!(%user, %error, "state has no JSON form, no more snapshots");
                self.forbid();
            }
        }
    }

    fn begin(&mut self) {
        self.events_since = 0;
        if self.forbidden {
            return;
        }
        self.round = Some(Round {
            users: std::mem::take(&mut self.dirty).into(),
            saved: Vec::new(),
            replay_after: self.durable,
            ending: false,
        });
    }
}

fn take_slice(
    round: &mut Round,
    users: &mut Users,
    durable_batch: u64,
    contexts: &Contexts,
) -> Result<Vec<Snapshot>, (UserId, String)> {
    let mut slice = Vec::new();
    for _ in 0..round.users.len().min(SLICE_USERS) {
        let Some(id) = round.users.pop_front() else {
            break;
        };
        let Some(user) = users.by_id.get_mut(&id) else {
            continue;
        };
        if user.last_batch > durable_batch {
            round.users.push_back(id);
            continue;
        }
        let state = user::save(user, contexts).map_err(|error| (id, error))?;
        user.dirty = false;
        round.saved.push(id);
        slice.push(Snapshot { user: id, state });
    }
    Ok(slice)
}

impl LaneTask {
    /// Saves what is dirty before the lane is let go, so that the next start reads little.
    pub(super) async fn last_rounds(&self, mut serving: Serving<'_>) {
        self.end_round(&mut serving).await;
        serving.rounds.begin();
        self.end_round(&mut serving).await;
    }

    /// Brings the round under way to its end: everything is durable now, so every slice gets on.
    async fn end_round(&self, serving: &mut Serving<'_>) {
        if self.snapshots.is_none() {
            return;
        }
        while serving.rounds.round.is_some() {
            let (durable_batch, parts) = (serving.durable_batch, serving.task);
            serving
                .rounds
                .advance(&mut serving.users, durable_batch, self, parts);
            let written = serving.rounds.written().await;
            serving.rounds.wrote(written, &mut serving.users);
        }
    }
}
