//! The one thread that writes: it gathers what all lanes want appended into one synced commit.
//!
//! Everything that changes a lane passes through here in one order, so an append that comes after
//! an `open_writer` finds the epoch raised, and one that came before is in the heads that the new
//! writer gets. A group is one atomic batch: what it contains becomes durable together or not at
//! all, and is published and answered only after that.

use std::{sync::Arc, time::Instant};

use fjall::{PersistMode, UserKey, UserValue};
use foldline_kernel::{Epoch, Lane};
use tokio::sync::{mpsc, oneshot};

use super::{
    heads_file::{Acknowledged, HeadsFile},
    record::{self, LaneState},
    shared::{Closed, Shared},
    tail::Placed,
};
use crate::{AppendError, Heads, OpenWriterError, Source};

/// What one commit takes at most; a single larger append is still committed whole.
const COMMIT_EVENTS_MAX: usize = 8192;
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// How many requests wait for the committer; each writer has one under way, so this is rarely met.
pub(crate) const REQUESTS_WAITING_MAX: usize = 256;

/// The largest epoch: CloudEvents integers have 32 bits with a sign.
const EPOCH_MAX: u32 = i32::MAX as u32;

pub(crate) enum Request {
    Append(Append),
    OpenWriter(OpenWriter),
}

/// An encoded batch at the places that its writer gave it.
pub(crate) struct Append {
    pub(crate) lane: Lane,
    pub(crate) epoch: Epoch,
    pub(crate) records: Vec<(UserKey, UserValue)>,
    pub(crate) bytes: usize,
    pub(crate) events: Vec<Placed>,
    /// The lane's end with this batch.
    pub(crate) heads: Heads,
    pub(crate) answer: oneshot::Sender<Result<(), AppendError>>,
}

pub(crate) struct OpenWriter {
    pub(crate) lane: Lane,
    pub(crate) answer: oneshot::Sender<Result<LaneState, OpenWriterError>>,
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    /// Each lane with all requests taken so far, which may be ahead of what is durable; a failed
    /// commit closes the log, so nobody goes on from such a state.
    states: Vec<LaneState>,
    heads_file: HeadsFile,
}

/// What is committed together.
#[derive(Default)]
struct Group {
    appends: Vec<Append>,
    openings: Vec<(OpenWriter, LaneState)>,
    lanes: Vec<Lane>,
    events: usize,
    bytes: usize,
    /// What the disk may still take.
    room: u64,
}

impl Group {
    fn has_room(&self) -> bool {
        self.events < COMMIT_EVENTS_MAX && self.bytes < COMMIT_BYTES_MAX
    }

    fn touch(&mut self, lane: Lane) {
        if !self.lanes.contains(&lane) {
            self.lanes.push(lane);
        }
    }
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        states: Vec<LaneState>,
        heads_file: HeadsFile,
    ) -> Self {
        Self {
            shared,
            requests,
            states,
            heads_file,
        }
    }

    /// Serves until the log and all its writers are gone.
    pub(crate) fn run(mut self) {
        let _closes_on_panic = ClosesOnPanic(Arc::clone(&self.shared));
        while let Some(request) = self.requests.blocking_recv() {
            let mut group = Group {
                room: self.shared.directory.room(),
                ..Group::default()
            };
            self.take(request, &mut group);
            while group.has_room()
                && let Ok(request) = self.requests.try_recv()
            {
                self.take(request, &mut group);
            }
            self.settle(group);
        }
    }

    /// Takes a request into the group, or answers it at once.
    fn take(&mut self, request: Request, group: &mut Group) {
        match request {
            Request::Append(append) => match self.check(&append, group) {
                Err(refusal) => drop(append.answer.send(Err(refusal))),
                // It proved that the writer still owns the lane, here and now, in order with
                // every opening; there is nothing to be made durable.
                Ok(()) if append.events.is_empty() => drop(append.answer.send(Ok(()))),
                Ok(()) => {
                    self.states[append.lane.index()]
                        .heads
                        .clone_from(&append.heads);
                    group.events += append.events.len();
                    group.bytes += append.bytes;
                    group.touch(append.lane);
                    group.appends.push(append);
                }
            },
            Request::OpenWriter(opening) => match self.raise_epoch(opening.lane, group) {
                Err(refusal) => drop(opening.answer.send(Err(refusal))),
                Ok(state) => {
                    group.touch(opening.lane);
                    group.openings.push((opening, state));
                }
            },
        }
    }

    fn check(&self, append: &Append, group: &Group) -> Result<(), AppendError> {
        let Append { lane, epoch, .. } = *append;
        if let Some(closed) = self.shared.closed() {
            return Err(unavailable(lane, closed.clone()));
        }
        let state = &self.states[lane.index()];
        if epoch != state.epoch {
            return Err(AppendError::Fenced { lane, epoch });
        }
        // The one writer of an epoch counts on from what it was last answered, so its batch
        // starts where the lane ends; anything else would be a gap or an overwritten record.
        let end = state.heads.lane_sequence.0 + append.events.len() as u64;
        if append.heads.lane_sequence.0 != end {
            return Err(unavailable(
                lane,
                "the batch does not start at the lane's end",
            ));
        }
        if append.events.is_empty() {
            return Ok(());
        }
        let wanted = (group.bytes + append.bytes) as u64;
        let room = self.shared.directory.check_room(group.room, wanted);
        room.map_err(|full| unavailable(lane, full))
    }

    fn raise_epoch(&mut self, lane: Lane, group: &Group) -> Result<LaneState, OpenWriterError> {
        let unavailable = |source| Err(OpenWriterError::Unavailable { lane, source });
        if let Some(closed) = self.shared.closed() {
            return unavailable(closed.clone().into());
        }
        // Each opening writes a little: lanes that try again and again must not use up what is
        // kept free.
        if let Err(full) = self.shared.directory.check_room(group.room, 0) {
            return unavailable(full.into());
        }
        let state = &mut self.states[lane.index()];
        if state.epoch.0 >= EPOCH_MAX {
            return unavailable("its epochs are used up".into());
        }
        state.epoch.0 += 1;
        Ok(state.clone())
    }

    /// Commits the group, moves the tails on and answers.
    fn settle(&mut self, mut group: Group) {
        if group.lanes.is_empty() {
            return;
        }
        let started = Instant::now();
        match self.commit(&mut group) {
            Ok(()) => {
                metrics::histogram!("foldline_log_commit_seconds").record(started.elapsed());
                metrics::histogram!("foldline_log_commit_events").record(group.events as f64);
                // Followers first: who is answered finds its events at every follower.
                for append in group.appends {
                    let tail = self.shared.tail(append.lane);
                    tail.publish(append.events, append.heads);
                    drop(append.answer.send(Ok(())));
                }
                for (opening, state) in group.openings {
                    drop(opening.answer.send(Ok(state)));
                }
            }
            Err(failure) => refuse(group, &failure),
        }
    }

    /// Makes the group durable: one atomic batch, synced, then the heads beside it.
    fn commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        let store = &self.shared.store;
        let mut batch = store
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for append in &mut group.appends {
            let keyspace = store.lane(append.lane);
            for (key, record) in append.records.drain(..) {
                batch.insert(keyspace, key, record);
            }
        }
        for lane in &group.lanes {
            let state = &self.states[lane.index()];
            let key = UserKey::from(record::state_key(*lane));
            batch.insert(&store.states, key, state.encode(*lane));
        }
        fail::fail_point!("log::before_commit", |_| std::process::abort());
        batch.commit().map_err(|error| self.failed(error))?;
        fail::fail_point!("log::after_commit", |_| std::process::abort());
        for lane in &group.lanes {
            let state = &self.states[lane.index()];
            let acknowledged = Acknowledged {
                lane_sequence: state.heads.lane_sequence,
                epoch: state.epoch,
            };
            self.heads_file
                .put(*lane, acknowledged)
                .map_err(|error| Failure {
                    certain: false,
                    closed: self
                        .shared
                        .close(&format!("writing `heads` failed: {error}")),
                })?;
        }
        Ok(())
    }

    fn failed(&self, error: fjall::Error) -> Failure {
        Failure {
            // fjall refuses before it writes once an earlier write or flush of its own failed.
            certain: matches!(error, fjall::Error::Poisoned),
            closed: self.shared.close(&format!("a write failed: {error}")),
        }
    }
}

/// A commit that failed; `certain` where surely nothing of it was written.
struct Failure {
    certain: bool,
    closed: Closed,
}

fn refuse(group: Group, failure: &Failure) {
    for append in group.appends {
        let (lane, source) = (append.lane, Source::from(failure.closed.clone()));
        let error = if failure.certain {
            AppendError::Unavailable { lane, source }
        } else {
            AppendError::Unknown { lane, source }
        };
        drop(append.answer.send(Err(error)));
    }
    for (opening, _) in group.openings {
        let lane = opening.lane;
        let source = failure.closed.clone().into();
        drop(
            opening
                .answer
                .send(Err(OpenWriterError::Unavailable { lane, source })),
        );
    }
}

/// Lets nobody wait for a committer that is gone.
struct ClosesOnPanic(Arc<Shared>);

impl Drop for ClosesOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close("the committer panicked");
        }
    }
}

fn unavailable(lane: Lane, source: impl Into<Source>) -> AppendError {
    AppendError::Unavailable {
        lane,
        source: source.into(),
    }
}
