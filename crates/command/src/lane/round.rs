//! Snapshot rounds: states are written in slices beside the serving, never in its way.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc};

use foldline_event_log::{Snapshot, SnapshotError, SnapshotStore};
use foldline_kernel::{Lane, LaneSequence, LogId, UserId};

use super::{
    LaneTask,
    serving::{LaneTaskParts, Serving},
};
use crate::{
    Contexts,
    user::{self, Users},
};

/// How many users are encoded at a time; the lane waits for no more than that.
const SLICE_USERS: usize = 64;

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
    /// Users with something to save, for the next round.
    dirty: Vec<UserId>,
    round: Option<Round>,
    writing: Option<Writing>,
    /// A quarantined user's state cannot be saved, and no marker may pass its events by: they are
    /// read again at the next start, where mended rules may cure it.
    forbidden: bool,
}

struct Round {
    users: VecDeque<UserId>,
    replay_after: LaneSequence,
    ending: bool,
    /// Some state could not be saved: the round must not end with a marker.
    spoilt: bool,
}

impl Rounds {
    pub(super) fn new(durable: LaneSequence) -> Self {
        Self {
            durable,
            events_since: 0,
            dirty: Vec::new(),
            round: None,
            writing: None,
            forbidden: false,
        }
    }

    pub(super) fn dirty(&mut self, user: UserId) {
        self.dirty.push(user);
    }

    pub(super) fn appended(&mut self, events: usize, durable: LaneSequence) {
        self.events_since += events;
        self.durable = self.durable.max(durable);
    }

    pub(super) fn forbid(&mut self) {
        self.forbidden = true;
        self.round = None;
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Waits for the slice that is being written.
    pub(super) async fn written(&mut self) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        let written = writing.await;
        self.writing = None;
        if let Err(error) = written {
            tracing::warn!(lane = %error.lane, source = %error.source, "snapshot round given up");
            self.round = None;
        } else if self.round.as_ref().is_some_and(|round| round.ending) {
            self.round = None;
        }
    }

    /// Begins a round when it is due, and starts to write its next slice.
    pub(super) fn advance(
        &mut self,
        store: &Option<Arc<dyn SnapshotStore>>,
        log_id: LogId,
        users: &mut Users,
        durable_batch: u64,
        task: &LaneTaskParts,
    ) {
        let Some(store) = store else { return };
        if self.events_since >= task.settings.snapshot_events && self.round.is_none() {
            self.begin();
        }
        if self.writing.is_some() {
            return;
        }
        let Some(round) = &mut self.round else { return };
        let (store, lane) = (store.clone(), task.lane);
        if round.users.is_empty() {
            round.ending = true;
            let replay_after = round.replay_after;
            self.writing = Some(end_round(store, lane, log_id, replay_after));
            return;
        }
        let slice = take_slice(round, users, durable_batch, &task.contexts);
        if round.spoilt {
            return self.forbid();
        }
        if !slice.is_empty() {
            self.writing = Some(Box::pin(async move { store.put(lane, slice).await }));
        }
    }

    fn begin(&mut self) {
        self.events_since = 0;
        if self.forbidden {
            return;
        }
        let users = std::mem::take(&mut self.dirty).into();
        self.round = Some(Round {
            users,
            replay_after: self.durable,
            ending: false,
            spoilt: false,
        });
    }
}

fn end_round(
    store: Arc<dyn SnapshotStore>,
    lane: Lane,
    log_id: LogId,
    replay_after: LaneSequence,
) -> Writing {
    Box::pin(async move { store.end_round(lane, log_id, replay_after).await })
}

fn take_slice(
    round: &mut Round,
    users: &mut Users,
    durable_batch: u64,
    contexts: &Contexts,
) -> Vec<Snapshot> {
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
        match user::save(user, contexts) {
            Ok(state) => {
                user.dirty = false;
                slice.push(Snapshot { user: id, state });
            }
            Err(error) => {
                tracing::error!(user = %id, %error, "state has no JSON form, no more snapshots");
                round.spoilt = true;
            }
        }
    }
    slice
}

impl LaneTask {
    /// Saves what is dirty before the lane is let go, so that the next start reads little.
    pub(super) async fn last_round(&self, mut serving: Serving<'_>) {
        let Some(store) = &self.snapshots else { return };
        while serving.rounds.is_writing() {
            serving.rounds.written().await;
        }
        if serving.rounds.round.is_none() {
            serving.rounds.begin();
        }
        let log_id = self.log.topology().log_id;
        let store = Some(store.clone());
        // Everything is durable now, so every slice makes progress and the loop ends.
        while serving.rounds.round.is_some() {
            let durable = serving.durable_batch;
            serving
                .rounds
                .advance(&store, log_id, &mut serving.users, durable, serving.task);
            serving.rounds.written().await;
        }
    }
}
