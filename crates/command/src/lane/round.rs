//! Snapshot rounds: states are written in slices beside the serving, never in its way.

use std::{collections::VecDeque, future::Future, pin::Pin};

use foldline_event_log::{Snapshot, SnapshotError};
use foldline_kernel::{LaneSequence, UserId};
use rustc_hash::FxHashSet;

use super::{
    LaneTask,
    serving::{LaneTaskParts, Serving},
};
use crate::{
    Contexts,
    state::{LaneStates, codec},
    users::Users,
};

/// How many users are encoded at a time. While appends go on it is at most one such slice per
/// append: so a round takes its time, and a command waits for a few states at most.
const SLICE_USERS: usize = 16;

type Writing = Pin<Box<dyn Future<Output = Result<(), SnapshotError>> + Send>>;

/// The rounds of one lane.
///
/// Invariant: every event up to the marker in force is in the snapshot of its user. It holds after
/// a round because
///
/// - a user whose snapshot lacks an event is dirty: it becomes so with the event, and is clean
///   only once its state has been encoded for a slice; were that slice not written, the round
///   would be given up, its users dirty again and no marker written;
/// - a round takes every user that is dirty when it begins, and encodes each after that moment,
///   hence with all its events up to the durable end of then, which is what its marker names;
/// - a slice is written once the last batch that its states speak of is durable, so that no
///   snapshot speaks of an event that the log may come not to have;
/// - the marker is written after every slice of its round.
///
/// States may hold later events than the marker names: replay skips them, stream by stream. A
/// state that was spoilt is not written; that it was, and the end of its user's events, stands for
/// it, since those events can be read again (`curing.rs`). A user who is not in memory is in the
/// local store with everything that has happened to him, durably (`keeping.rs`), and is copied from
/// there byte for byte: a round brings nobody into memory.
///
/// A round ends: each slice waits for two appends at most (the one in flight and the one in the
/// making) and for none where the lane is idle, and no user is passed over, however often it comes.
pub(super) struct Rounds {
    /// The durable end of the lane.
    durable: LaneSequence,
    events_since: usize,
    /// Users with something to save, for the next round.
    dirty: FxHashSet<UserId>,
    round: Option<Round>,
    writing: Option<Writing>,
    /// Whether an append has ended since the last slice, or nothing but the marker is missing.
    due: bool,
    /// A state has no JSON form: a fault of the program that its first round shows.
    forbidden: bool,
}

struct Round {
    users: VecDeque<UserId>,
    slice: Option<Slice>,
    /// Whose states have been encoded.
    saved: Vec<UserId>,
    replay_after: LaneSequence,
    ending: bool,
}

/// What is written at a time.
#[derive(Default)]
struct Slice {
    /// The batch that has to be durable before it may be written.
    batch: u64,
    snapshots: Vec<Snapshot>,
    /// Users who are in the local store alone.
    stored: Vec<UserId>,
}

impl Slice {
    fn len(&self) -> usize {
        self.snapshots.len() + self.stored.len()
    }
}

impl Rounds {
    pub(super) fn new(
        durable: LaneSequence,
        events_since: usize,
        dirty: FxHashSet<UserId>,
    ) -> Self {
        Self {
            durable,
            events_since,
            dirty,
            round: None,
            writing: None,
            due: false,
            forbidden: false,
        }
    }

    pub(super) fn dirty(&mut self, user: UserId) {
        self.dirty.insert(user);
    }

    /// Returns all users whom the snapshots that the marker in force stands for may lack.
    pub(super) fn not_in_snapshots(&self) -> Vec<UserId> {
        let round = self.round.iter();
        let taken = round.flat_map(|round| round.users.iter().chain(&round.saved));
        self.dirty.iter().chain(taken).copied().collect()
    }

    pub(super) fn appended(&mut self, events: usize, durable: LaneSequence) {
        self.events_since += events;
        self.due = true;
        self.durable = self.durable.max(durable);
    }

    /// Tells that the next step of a round may be made: once per append, and at any time while
    /// the lane is idle.
    pub(super) fn is_due(&mut self, idle: bool) -> bool {
        std::mem::take(&mut self.due) || idle && self.round.is_some()
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
            Ok(()) => match &self.round {
                Some(round) if round.ending => self.round = None,
                Some(round) if round.is_written() => self.due = true,
                _ => {}
            },
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
        for id in &round.saved {
            users.amend(*id, |user| user.dirty = true);
        }
        self.dirty.extend(round.saved);
        self.dirty.extend(round.users);
    }

    /// Begins a round when it is due, and starts to write its next slice.
    pub(super) fn advance(
        &mut self,
        users: &mut Users,
        durable_batch: u64,
        states: Option<&LaneStates>,
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
        if let Err((user, error)) = round.encode(users, states.is_some(), &parts.contexts) {
            tracing::error!(%user, %error, "state has no JSON form, no more snapshots");
            (self.forbidden, self.round) = (true, None);
            return;
        }
        let (store, lane, log_id) = (store.clone(), parts.lane, lane.log.topology().log_id);
        if round.is_written() {
            round.ending = true;
            let replay_after = round.replay_after;
            self.writing = Some(Box::pin(async move {
                store.end_round(lane, log_id, replay_after).await
            }));
        } else if let Some(slice) = round.slice.take_if(|slice| slice.batch <= durable_batch) {
            let states = states.cloned();
            self.writing = Some(Box::pin(async move {
                let Slice {
                    mut snapshots,
                    stored,
                    ..
                } = slice;
                if let Some(states) = states.filter(|_| !stored.is_empty()) {
                    let copied = states.copy(stored).await;
                    let source = |error: crate::state::StateError| error.into();
                    snapshots.extend(copied.map_err(|error| SnapshotError {
                        lane,
                        source: source(error),
                    })?);
                }
                store.put(lane, snapshots).await
            }));
        }
    }

    fn begin(&mut self) {
        self.events_since = 0;
        if self.forbidden {
            return;
        }
        self.round = Some(Round {
            users: std::mem::take(&mut self.dirty).into_iter().collect(),
            slice: None,
            saved: Vec::new(),
            replay_after: self.durable,
            ending: false,
        });
    }
}

impl Round {
    /// Whether the marker is all that is missing.
    fn is_written(&self) -> bool {
        self.users.is_empty() && self.slice.is_none()
    }

    /// Encodes the next slice, unless there is one that has yet to be written. The states are
    /// those of this moment: a user who is in every batch has none that is durable as a whole.
    fn encode(
        &mut self,
        users: &mut Users,
        has_store: bool,
        contexts: &Contexts,
    ) -> Result<(), (UserId, String)> {
        if self.slice.is_some() || self.users.is_empty() {
            return Ok(());
        }
        let mut slice = Slice::default();
        while slice.len() < SLICE_USERS
            && let Some(id) = self.users.pop_front()
        {
            self.saved.push(id);
            let encoded = users.amend(id, |user| {
                user.dirty = false;
                slice.batch = slice.batch.max(user.last_batch);
                codec::write(user, contexts)
            });
            let Some(state) = encoded else {
                slice.stored.extend(has_store.then_some(id));
                continue;
            };
            let state = state.map_err(|error| (id, error))?;
            slice.snapshots.push(Snapshot { user: id, state });
        }
        self.slice = (slice.len() > 0).then_some(slice);
        Ok(())
    }
}

impl LaneTask {
    /// Saves what is dirty before the lane is let go, so that the next start reads little.
    pub(super) async fn last_rounds(&self, mut serving: Serving<'_>) {
        self.end_round(&mut serving).await;
        serving.rounds.begin();
        self.end_round(&mut serving).await;
        serving.last_keeping().await;
    }

    /// Brings the round under way to its end: everything is durable now, so every slice gets on.
    async fn end_round(&self, serving: &mut Serving<'_>) {
        if self.snapshots.is_none() {
            return;
        }
        while serving.rounds.round.is_some() {
            let (durable_batch, parts) = (serving.durable_batch, serving.task);
            let states = serving.keeping.as_ref().map(|keeping| &keeping.states);
            serving
                .rounds
                .advance(&mut serving.users, durable_batch, states, self, parts);
            let written = serving.rounds.written().await;
            serving.rounds.wrote(written, &mut serving.users);
        }
    }
}
