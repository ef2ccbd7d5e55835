//! The states of a lane as of its end: from the local store, else from snapshots, and what is
//! newer from the log.

use std::time::{Duration, Instant};

use foldline_event_log::{Follower, From, Snapshot};
use foldline_kernel::{LaneSequence, UserId};
use foldline_schema::Event;
use rustc_hash::FxHashSet;
use tokio::sync::mpsc;

use super::{
    LaneTask,
    keeping::make_room_at_once,
    opening::{OpenError, READ_EVENTS},
};
use crate::{
    owned::LaneHealth,
    state::{
        LaneStates, Saved, StateError,
        codec::{self, Kind},
    },
    users::Users,
};

/// How many slices of snapshots may wait on their way from their store to the local one.
const SLICES_MAX: usize = 4;
/// A local store that is further behind than this many snapshot rounds is not read on from: another
/// node had the lane meanwhile, and its snapshots are nearer.
const BEHIND_ROUNDS_MAX: u64 = 8;
/// How often a long opening is told in the log.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// A lane's states as of its end.
#[derive(Default)]
pub(super) struct Restored {
    pub(super) users: Users,
    pub(super) replayed: usize,
    /// Whom the snapshots may lack.
    pub(super) not_in_snapshots: FxHashSet<UserId>,
    /// Whose states are spoilt.
    pub(super) spoilt: FxHashSet<UserId>,
    /// Those of them whose states were so before this start, and may be read again.
    pub(super) spoilt_before: Vec<UserId>,
}

impl LaneTask {
    pub(super) async fn restore(
        &self,
        states: Option<&LaneStates>,
        end: LaneSequence,
        remembered_max: usize,
    ) -> Result<Restored, OpenError> {
        let begun = Instant::now();
        let mut restored = Restored::default();
        let (from, after) = match states {
            None => self.load_snapshots(&mut restored, end).await,
            Some(states) => self.fill(states, &mut restored, end).await?,
        };
        restored.spoilt.extend(&restored.spoilt_before);
        self.replay(states, &mut restored, after, end, remembered_max)
            .await?;
        restored.replayed = usize::try_from(end.0 - after.0).unwrap_or(usize::MAX);
        let (read, took) = (restored.replayed, begun.elapsed());
        // A start that nobody had to wait for needs no line per lane.
        if took >= TOLD_EVERY {
            tracing::info!(lane = %self.lane, from, read, ?took, "states are there");
        } else {
            tracing::debug!(lane = %self.lane, from, read, ?took, "states are there");
        }
        Ok(restored)
    }

    /// Sees to it that the local store has all states as of some place in the lane.
    async fn fill(
        &self,
        states: &LaneStates,
        restored: &mut Restored,
        end: LaneSequence,
    ) -> Result<(&'static str, LaneSequence), OpenError> {
        let marker = states.blocking(|store, lane| store.marker(lane)).await?;
        let behind_max = (self.settings.snapshot_events as u64).saturating_mul(BEHIND_ROUNDS_MAX);
        match marker {
            Some((at, _)) if at > end => {
                tracing::error!(lane = %self.lane, marker = %at, %end, "local states beyond the log dropped");
            }
            Some((at, _)) if end.0 - at.0 > behind_max && self.snapshots.is_some() => {
                tracing::info!(lane = %self.lane, marker = %at, %end, "local states are far behind");
            }
            Some((at, not_in_snapshots)) => {
                restored.not_in_snapshots.extend(not_in_snapshots);
                self.begin_partial(states, restored).await?;
                return Ok(("the local store", at));
            }
            None => {}
        }
        // Without a marker nothing that may be there counts.
        states.blocking(|store, lane| store.clear(lane)).await?;
        let copied = self.copy_snapshots(states, end).await?;
        if copied.is_none() {
            states.blocking(|store, lane| store.clear(lane)).await?;
        }
        self.begin_partial(states, restored).await?;
        Ok(match copied {
            Some(at) => ("snapshots", at),
            None => ("the log", LaneSequence::ZERO),
        })
    }

    async fn begin_partial(
        &self,
        states: &LaneStates,
        restored: &mut Restored,
    ) -> Result<(), StateError> {
        let reading = states.blocking(|store, lane| {
            let has_states = store.has_states(lane)?;
            Ok((has_states, store.spoilt(lane)?))
        });
        let (has_states, spoilt) = reading.await?;
        if has_states {
            restored.users.set_partial();
        }
        restored.spoilt_before = spoilt;
        Ok(())
    }

    /// Copies snapshots to the local store as they come, and ends with its marker; `None` where
    /// there are no usable ones.
    async fn copy_snapshots(
        &self,
        states: &LaneStates,
        end: LaneSequence,
    ) -> Result<Option<LaneSequence>, StateError> {
        let Some(store) = &self.snapshots else {
            return Ok(None);
        };
        self.health
            .send_replace(LaneHealth::Opening("snapshots are being loaded".to_owned()));
        let (sender, slices) = mpsc::channel(SLICES_MAX);
        let log_id = self.log.topology().log_id;
        let loading = store.load_in_slices(self.lane, log_id, sender);
        let (loaded, copied) = tokio::join!(loading, self.copy_slices(states, slices));
        if !copied? {
            tracing::info!(lane = %self.lane, "snapshots of older rules, folding anew");
            return Ok(None);
        }
        let marker = match loaded {
            Ok(marker) => marker,
            Err(error) => {
                tracing::warn!(lane = %self.lane, %error, "snapshots unreadable, reading the log");
                return Ok(None);
            }
        };
        let marker = marker.filter(|marker| self.is_within(*marker, end));
        if let Some(marker) = marker {
            let marking = states.blocking(move |store, lane| store.mark(lane, marker, &[]));
            marking.await?;
        }
        Ok(marker)
    }

    /// Returns whether all of them are of the rules that this program has.
    async fn copy_slices(
        &self,
        states: &LaneStates,
        mut slices: mpsc::Receiver<Vec<Snapshot>>,
    ) -> Result<bool, StateError> {
        while let Some(slice) = slices.recv().await {
            let contexts = self.contexts.clone();
            let saved = move |Snapshot { user, state }| {
                let kind = codec::kind(&state, &contexts);
                (kind != Kind::Foreign).then_some(Saved {
                    user,
                    state,
                    spoilt: kind == Kind::Spoilt,
                    healed: false,
                })
            };
            let copying = states.blocking(move |store, lane| {
                let Some(saved) = slice.into_iter().map(saved).collect() else {
                    return Ok(false);
                };
                store.write(lane, saved)?;
                Ok(true)
            });
            if !copying.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Loads every user's snapshot into memory; without usable ones the lane is read from its
    /// beginning.
    async fn load_snapshots(
        &self,
        restored: &mut Restored,
        end: LaneSequence,
    ) -> (&'static str, LaneSequence) {
        let nothing = ("the log", LaneSequence::ZERO);
        let Some(store) = &self.snapshots else {
            return nothing;
        };
        let log_id = self.log.topology().log_id;
        let (marker, snapshots) = match store.load(self.lane, log_id).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return nothing,
            Err(error) => {
                tracing::warn!(lane = %self.lane, %error, "snapshots unreadable, reading the log");
                return nothing;
            }
        };
        if !self.is_within(marker, end) {
            return nothing;
        }
        for snapshot in snapshots {
            let Some(user) = codec::read(&snapshot.state, &self.contexts) else {
                tracing::info!(lane = %self.lane, "snapshots of older rules, folding anew");
                *restored = Restored::default();
                return nothing;
            };
            if user.is_spoilt() {
                restored.spoilt_before.push(snapshot.user);
            }
            restored.users.arrive(snapshot.user, user);
        }
        ("snapshots", marker)
    }

    /// Snapshots are derived state: ones that claim more than the log holds are worthless.
    fn is_within(&self, marker: LaneSequence, end: LaneSequence) -> bool {
        if marker > end {
            tracing::error!(lane = %self.lane, %marker, %end, "snapshots beyond the log dropped");
        }
        marker <= end
    }

    async fn replay(
        &self,
        states: Option<&LaneStates>,
        restored: &mut Restored,
        after: LaneSequence,
        end: LaneSequence,
        remembered_max: usize,
    ) -> Result<(), OpenError> {
        if after == end {
            return Ok(());
        }
        let from = From::LaneSequence(after.next());
        let mut follower = self.log.follow_lane(self.lane, from).await?;
        let mut told = Instant::now();
        while follower.checkpoint().lane_sequence < end {
            let events = follower.next_batch(READ_EVENTS).await?;
            if let Some(states) = states {
                let subjects = events.iter().map(|event| event.subject);
                self.fetch(states, &mut restored.users, subjects).await?;
            }
            for event in &events {
                self.fold(restored, event, remembered_max);
            }
            if let Some(states) = states {
                make_room_at_once(states, &mut restored.users, &self.contexts).await?;
            }
            self.tell(follower.as_ref(), end, &mut told);
        }
        Ok(())
    }

    /// Brings users into memory who are in the local store alone.
    async fn fetch(
        &self,
        states: &LaneStates,
        users: &mut Users,
        subjects: impl Iterator<Item = UserId>,
    ) -> Result<(), StateError> {
        let missing: Vec<_> = subjects.filter(|id| !users.is_known(*id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let read = states.read(missing, self.contexts.clone()).await;
        for (id, user) in read.map_err(StateError::from).flatten()? {
            if let Some(user) = user {
                users.arrive(id, user);
            }
        }
        Ok(())
    }

    fn fold(&self, restored: &mut Restored, event: &Event, remembered_max: usize) {
        let Some(context) = self.contexts.find(&event.context) else {
            // The log was opened with every context of the binary, and the binary has every
            // context of the log; an event of a third one cannot be.
            tracing::error!(context = %event.context, "unknown context");
            return;
        };
        let (contexts, catalog) = (&self.contexts, self.contexts.catalog());
        let is_spoilt = restored.users.change(event.subject, |user| {
            user.fold(context, event, contexts, catalog, remembered_max);
            user.is_spoilt()
        });
        if is_spoilt {
            restored.spoilt.insert(event.subject);
        }
        if self.snapshots.is_some() {
            restored.not_in_snapshots.insert(event.subject);
        }
    }

    fn tell(&self, follower: &dyn Follower, end: LaneSequence, told: &mut Instant) {
        let at = follower.checkpoint().lane_sequence;
        let text = format!("read up to lane sequence {at} of {end}");
        if told.elapsed() >= TOLD_EVERY {
            *told = Instant::now();
            tracing::info!(lane = %self.lane, %at, %end, "opening a lane");
        }
        self.health.send_replace(LaneHealth::Opening(text));
    }
}
