//! Keeping a lane's states within their share of memory, and the local store near the lane's end.
//!
//! ```text
//!   memory ── idle and saved ──▶ dropped
//!          ── idle, not saved ─▶ written, then dropped unless used meanwhile
//!          ── in a round ──────▶ written, stays           ── all of them ──▶ marker
//! ```

use std::collections::VecDeque;

use foldline_kernel::{LaneSequence, UserId};
use rustc_hash::FxHashSet;
use tokio::task::JoinHandle;

use crate::{
    Contexts,
    state::{LaneStates, Saved, StateError, Store, codec},
    user::User,
    users::{Users, Verdict},
};

/// How many users of a round are written at a time, and how many for each event that was appended:
/// so a round is over before the next is due. While nothing is being appended, also for a moment, a
/// round goes on without events.
const ROUND_USERS: usize = 32;
const ROUND_USERS_PER_EVENT: usize = 2;
/// How many users that have to go are written at a time.
const GOING_USERS: usize = 512;
/// What part of its share a lane frees beyond what it must, so that it need not at every step.
const FREED_PART: usize = 64;
/// What part of its share a lane may be above it before it takes no more commands until something
/// has been written.
const ABOVE_PART: usize = 8;

/// The local store as a lane that serves uses it.
///
/// Invariants:
///
/// - *Every state in the store is one that the log gave.* A state is written only once the last
///   batch that it speaks of is durable: one that was decided on and whose append failed never
///   comes here. It names the version of each of its streams, and folding skips every event up to
///   that version, so none is folded twice, however much newer than the marker a state is.
/// - *Every event up to the marker is in the state of its user in the store.* A round takes every
///   user that is unsaved when it begins, and writes each with all that has happened up to then;
///   the marker names the durable end of that moment and is written after all of them. Who is not
///   unsaved has been written with everything since his last change.
/// - *Who is not in memory is in the store with everything that has happened to him.* A user leaves
///   only if nothing has happened since he was written, and one write is under way at a time, so
///   that no older state overtakes a newer one.
///
/// Whatever is unsaved when the lane is dropped is read from the log again.
pub(super) struct Keeping {
    pub(super) states: LaneStates,
    /// Users who are unsaved, each at least once, for the next round; some may have been written
    /// since.
    unsaved: Vec<UserId>,
    round: Option<Round>,
    slice: Option<Slice>,
    writing: Option<JoinHandle<Result<(), StateError>>>,
    /// Who leaves once the write under way has ended.
    going: Vec<UserId>,
    /// Whose states are no longer spoilt, which the store does not know yet.
    healed: FxHashSet<UserId>,
    events_since: usize,
    /// How many users of the round may be written for what has been appended.
    allowed: usize,
    durable: LaneSequence,
    /// A state has no JSON form: a fault of the program that its first round shows.
    forbidden: bool,
}

struct Round {
    users: VecDeque<UserId>,
    marker: LaneSequence,
}

/// Encoded, and the batch that has to be durable before it may be written.
#[derive(Default)]
struct Slice {
    batch: u64,
    saved: Vec<Saved>,
    going: Vec<UserId>,
}

impl Keeping {
    /// Begins with what was read at the lane's opening: some users may be unsaved.
    pub(super) fn new(
        states: LaneStates,
        users: &Users,
        events_since: usize,
        durable: LaneSequence,
    ) -> Self {
        let unsaved = users.iter().filter(|(_, user)| user.unsaved);
        Self {
            unsaved: unsaved.map(|(id, _)| id).collect(),
            // Lanes that began together do not write together.
            events_since: events_since + states.head_start(),
            allowed: 0,
            round: None,
            slice: None,
            writing: None,
            going: Vec::new(),
            healed: FxHashSet::default(),
            states,
            durable,
            forbidden: false,
        }
    }

    pub(super) fn unsaved(&mut self, user: UserId) {
        self.unsaved.push(user);
    }

    pub(super) fn healed(&mut self, user: UserId) {
        self.healed.insert(user);
    }

    pub(super) fn appended(&mut self, events: usize, durable: LaneSequence) {
        self.events_since += events;
        let allowed = self.allowed + events * ROUND_USERS_PER_EVENT;
        self.allowed = allowed.min(ROUND_USERS);
        self.durable = self.durable.max(durable);
    }

    /// Lets the round go on while nothing is being appended.
    pub(super) fn idle(&mut self) {
        self.allowed = ROUND_USERS;
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether commands may come that bring more users into memory.
    pub(super) fn has_room(&self, users: &Users) -> bool {
        let share = self.states.share();
        self.writing.is_none() || users.bytes() <= share + share / ABOVE_PART
    }

    /// Waits for what is being written, if anything is.
    pub(super) async fn written(&mut self) -> Result<(), StateError> {
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        let written = writing.await;
        self.writing = None;
        written.map_err(StateError::from).flatten()
    }

    /// Lets those leave who were written and have not been used since.
    pub(super) fn wrote(&mut self, users: &mut Users, durable_batch: u64) {
        for id in self.going.drain(..) {
            users.set_partial();
            users.remove_idle(id, |user| user.unsaved || has_to_stay(user, durable_batch));
        }
    }

    /// Drops who may leave, and begins the next write, if there is one to make and none under way.
    pub(super) fn advance(
        &mut self,
        users: &mut Users,
        durable_batch: u64,
        contexts: &Contexts,
        not_in_snapshots: impl FnOnce() -> Vec<UserId>,
    ) {
        if self.writing.is_some() {
            return;
        }
        if self.slice.is_none() {
            self.slice = self.next_slice(users, durable_batch, contexts);
        }
        if let Some(mut slice) = self.slice.take_if(|slice| slice.batch <= durable_batch) {
            self.going = slice.going;
            for saved in &mut slice.saved {
                saved.healed = self.healed.remove(&saved.user) && !saved.spoilt;
            }
            let write = move |store: &Store, lane| store.write(lane, slice.saved);
            self.writing = Some(self.states.start(write));
        } else if self.slice.is_none()
            && let Some(round) = self.round.take_if(|round| round.users.is_empty())
        {
            let not_in_snapshots = not_in_snapshots();
            let mark = move |store: &Store, lane| store.mark(lane, round.marker, &not_in_snapshots);
            self.writing = Some(self.states.start(mark));
        }
    }

    /// Who has to go, or else the next of the round.
    fn next_slice(
        &mut self,
        users: &mut Users,
        durable_batch: u64,
        contexts: &Contexts,
    ) -> Option<Slice> {
        let mut slice = make_room(users, self.states.share(), durable_batch, contexts);
        if self.events_since >= self.states.round_events() && self.round.is_none() {
            self.begin_round();
        }
        if slice.saved.is_empty()
            && let Some(round) = &mut self.round
            && let Err((user, error)) = round.encode(&mut slice, &mut self.allowed, users, contexts)
        {
            tracing::error!(%user, %error, "state has no JSON form, it stays in memory");
            (self.forbidden, self.round) = (true, None);
        }
        (!slice.saved.is_empty()).then_some(slice)
    }

    pub(super) fn begin_round(&mut self) {
        self.events_since = 0;
        let users = std::mem::take(&mut self.unsaved).into();
        let marker = self.durable;
        self.round = (!self.forbidden).then_some(Round { users, marker });
    }

    /// Whether a round is under way, up to the writing of its marker.
    pub(super) fn is_in_round(&self) -> bool {
        self.round.is_some() || self.writing.is_some() || self.slice.is_some()
    }
}

impl Round {
    /// Encodes the next users, as they are at this moment: one who is in every batch is never
    /// durable as a whole, so the slice waits for the batch instead.
    fn encode(
        &mut self,
        slice: &mut Slice,
        allowed: &mut usize,
        users: &mut Users,
        contexts: &Contexts,
    ) -> Result<(), (UserId, String)> {
        while *allowed > 0
            && let Some(id) = self.users.pop_front()
        {
            *allowed -= 1;
            let encoded = users.amend(id, |user| {
                slice.batch = slice.batch.max(user.last_batch);
                user.unsaved.then(|| saved(id, user, contexts))
            });
            // Who is not here has been written before he left.
            if let Some(saved) = encoded.flatten() {
                slice.saved.push(saved.map_err(|error| (id, error))?);
            }
        }
        Ok(())
    }
}

/// Takes from memory who has not been used lately, until what is left is within the share: at once
/// who is in the store as he is; with a slice that has to be written first who is not.
fn make_room(users: &mut Users, share: usize, durable_batch: u64, contexts: &Contexts) -> Slice {
    let mut slice = Slice::default();
    if users.bytes() <= share {
        return slice;
    }
    let excess = users.bytes() - share + share / FREED_PART;
    let (mut freed, mut is_stored) = (0, false);
    users.sweep(|id, user, counted| {
        if freed >= excess || slice.going.len() >= GOING_USERS {
            return Verdict::Enough;
        }
        if has_to_stay(user, durable_batch) {
            return Verdict::Stays;
        }
        if !user.unsaved {
            freed += counted;
            is_stored |= !user.streams.is_empty() || user.is_spoilt();
            return Verdict::Goes;
        }
        // One without a JSON form stays; the next round says so.
        if let Ok(saved) = saved(id, user, contexts) {
            freed += counted;
            slice.saved.push(saved);
            slice.going.push(id);
        }
        Verdict::Stays
    });
    if is_stored {
        users.set_partial();
    }
    slice
}

/// Whether a state speaks of events that may come to nothing, or of a quarantine that only memory
/// knows of.
fn has_to_stay(user: &User, durable_batch: u64) -> bool {
    let only_here = user.quarantine.is_some() && !user.is_spoilt();
    user.last_batch > durable_batch || only_here
}

fn saved(user: UserId, of: &mut User, contexts: &Contexts) -> Result<Saved, String> {
    let state = codec::write(of, contexts)?;
    of.unsaved = false;
    let spoilt = of.is_spoilt();
    Ok(Saved {
        user,
        state,
        spoilt,
        healed: false,
    })
}

/// Brings memory within its share while a lane is being opened: everything there is is durable
/// then, and nothing else goes on.
pub(super) async fn make_room_at_once(
    states: &LaneStates,
    users: &mut Users,
    contexts: &Contexts,
) -> Result<(), StateError> {
    // The first look may find that everybody was used lately.
    for _ in 0..2 {
        while users.bytes() > states.share() {
            let Slice { saved, going, .. } = make_room(users, states.share(), u64::MAX, contexts);
            if saved.is_empty() {
                break;
            }
            states
                .blocking(move |store, lane| store.write(lane, saved))
                .await?;
            users.set_partial();
            for id in going {
                users.remove(id);
            }
        }
    }
    Ok(())
}
