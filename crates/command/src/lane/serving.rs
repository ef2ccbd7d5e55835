//! Serving a lane: the loop that keeps one batch in flight and one in the making.

use std::{collections::VecDeque, future::Future, pin::Pin};

use foldline_event_log::{AppendError, Appended, Heads, LaneWriter};
use foldline_kernel::{LaneSequence, UserId};
use foldline_schema::NewEvent;
use rustc_hash::FxHashMap;

use super::{
    Ended, LaneTask, Submitted,
    curing::{Cured, Curing},
    fetching::Fetching,
    keeping::Keeping,
    opening::Opened,
    round::Rounds,
    turns::Turns,
};
use crate::{
    Answer, CommandError,
    meters::Quarantined,
    state::StateError,
    user::{DefaultStates, User},
    users::Users,
};

type Appending =
    Pin<Box<dyn Future<Output = (Box<dyn LaneWriter>, Result<Appended, AppendError>)> + Send>>;

/// How many commands are taken from the queue at a time.
const TAKEN_MAX: usize = 256;

/// How many answers' memory is kept from one batch for the next.
const SPARE_MAX: usize = 1024;

/// The batch in the making.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<NewEvent>,
    pub(super) bytes: usize,
    /// Commands that were decided, with the answer each gets once the append has succeeded.
    pub(super) decided: Vec<Decided>,
    /// The end of the lane with it, once it is closed.
    end: LaneSequence,
}

impl Batch {
    /// What nobody may do: to see whether `cargo xtask faults` would find it.
    fn answer_too_early(&mut self) {
        fail::fail_point!("broken::answer", |_| self.answer());
    }

    fn answer(&mut self) {
        for (submission, answer) in self.decided.drain(..) {
            // Whoever has gone finds the answer by its key.
            let _ = submission.answer.send(answer);
        }
    }
}

/// A command that was decided, and its answer.
type Decided = (Submitted, Result<Answer, CommandError>);

/// A lane that serves.
pub(super) struct Serving<'a> {
    pub(super) task: &'a LaneTaskParts,
    pub(super) users: Users,
    pub(super) defaults: DefaultStates,
    /// Taken from the queue and not decided yet, because the batch in the making is full.
    waiting: VecDeque<Submitted>,
    pub(super) batch: Batch,
    /// What held the answers of the batch before, for the next one's.
    spare: Vec<Decided>,
    /// The number of the batch in the making.
    pub(super) batch_number: u64,
    /// The number of the last batch that is durable.
    pub(super) durable_batch: u64,
    /// The end of the lane as it will be once everything decided is appended. Only this task
    /// appends to the lane, so the places of its events are known before the log gives them.
    pub(super) ahead: Heads,
    /// Type names as the envelope wants them, one allocation each.
    pub(super) type_names: FxHashMap<&'static str, std::sync::Arc<str>>,
    pub(super) rounds: Rounds,
    /// The local store, if there is one.
    pub(super) keeping: Option<Keeping>,
    fetching: Fetching,
    /// Why the local store has failed; what has been decided is settled, and no more begun.
    trouble: Option<StateError>,
    curing: Curing,
    pub(super) turns: Turns,
    pub(super) quarantined: Quarantined,
}

/// The parts of the task that serving only reads.
pub(super) struct LaneTaskParts {
    pub(super) lane: foldline_kernel::Lane,
    /// How many events this lane's first snapshot round comes earlier than a whole one, so that
    /// the lanes of a node take turns.
    head_start: usize,
    pub(super) contexts: std::sync::Arc<crate::Contexts>,
    /// For each context of the application its index in the log's topology.
    pub(super) topology_index: Vec<usize>,
    pub(super) settings: crate::Settings,
    pub(super) meters: std::sync::Arc<crate::meters::Meters>,
}

impl LaneTask {
    /// Serves until the node stops or an append fails.
    ///
    /// What an earlier failure left unsettled is decided first, all of it into one batch; nothing
    /// is taken from the queue until that one is durable, so a log that keeps failing does not
    /// collect more and more.
    pub(super) async fn serve(&mut self, opened: Opened, unsettled: Vec<Submitted>) -> Ended {
        let parts = self.parts();
        let (mut serving, writer) = Serving::new(&parts, opened);
        let mut writer = Some(writer);
        let mut appending: Option<Appending> = None;
        let mut in_flight = Batch::default();
        let mut taken = Vec::with_capacity(TAKEN_MAX);
        let mut open = true;
        if let Err((error, commands)) = serving.take_back(unsettled).await {
            serving.trouble = Some(error);
            serving.waiting.extend(commands);
            return serving.give_up().await;
        }
        let mut proving = !serving.batch.decided.is_empty();
        loop {
            serving.decide_waiting();
            if !serving.batch.decided.is_empty()
                && let Some(writer) = writer.take()
            {
                in_flight = serving.close_batch();
                in_flight.answer_too_early();
                appending = Some(append(writer, std::mem::take(&mut in_flight.events)));
                continue;
            }
            if serving.trouble.is_some() && appending.is_none() {
                return serving.give_up().await;
            }
            if !open && appending.is_none() && serving.fetching.len() == 0 {
                self.last_rounds(serving).await;
                return Ended::Stopped;
            }
            if serving.rounds.is_due(appending.is_none()) {
                let durable_batch = serving.durable_batch;
                let states = serving.keeping.as_ref().map(|keeping| &keeping.states);
                serving
                    .rounds
                    .advance(&mut serving.users, durable_batch, states, self, &parts);
            }
            serving.keep(appending.is_none());
            tokio::select! {
                biased;
                (back, appended) = async { appending.as_mut().expect("guarded").await },
                    if appending.is_some() =>
                {
                    appending = None;
                    match appended {
                        Ok(appended) => {
                            serving.settle(&mut in_flight, &appended);
                            (writer, proving) = (Some(back), false);
                        }
                        Err(error) => return serving.fail(in_flight, error).await,
                    }
                }
                () = self.stop.cancelled(), if open && !self.queue.is_closed() => {
                    self.queue.close();
                }
                count = self.queue.recv_many(&mut taken, TAKEN_MAX),
                    if open && !proving && serving.takes_commands() =>
                {
                    // Zero: the queue is closed and everything in it has been taken.
                    open = count > 0;
                    serving.waiting.extend(taken.drain(..));
                    // Whoever is about to send a command as well gets to it first: on a busy node
                    // this task would else be woken for each of them.
                    tokio::task::yield_now().await;
                    while serving.waiting.len() < TAKEN_MAX
                        && let Ok(submission) = self.queue.try_recv()
                    {
                        serving.waiting.push_back(submission);
                    }
                }
                written = serving.rounds.written(), if serving.rounds.is_writing() => {
                    serving.rounds.wrote(written, &mut serving.users);
                }
                read = serving.fetching.read(), if serving.fetching.is_reading() => {
                    serving.fetched(read);
                }
                written = async { serving.keeping.as_mut().expect("guarded").written().await },
                    if serving.keeping.as_ref().is_some_and(Keeping::is_writing) =>
                {
                    serving.kept(written);
                }
                Some(cured) = serving.curing.join_next(), if !serving.curing.is_empty() => {
                    serving.cured(cured.unwrap_or_default());
                }
            }
        }
    }

    fn parts(&self) -> LaneTaskParts {
        let topology = self.log.topology();
        let index_of = |context| {
            topology
                .index_of(context)
                .expect("the log is opened with the binary's contexts")
        };
        let lanes = usize::from(topology.lanes.max(1));
        LaneTaskParts {
            lane: self.lane,
            head_start: self.settings.snapshot_events / lanes * self.lane.index(),
            contexts: self.contexts.clone(),
            topology_index: self.contexts.names().iter().map(index_of).collect(),
            settings: self.settings.clone(),
            meters: self.meters.clone(),
        }
    }
}

fn append(mut writer: Box<dyn LaneWriter>, events: Vec<NewEvent>) -> Appending {
    Box::pin(async move {
        let appended = writer.append(events).await;
        (writer, appended)
    })
}

impl<'a> Serving<'a> {
    fn new(task: &'a LaneTaskParts, opened: Opened) -> (Self, Box<dyn LaneWriter>) {
        let ahead = opened.writer.heads().clone();
        let end = ahead.lane_sequence;
        // What was folded from the log at the start is in no snapshot yet.
        let events_since = opened.replayed.max(opened.not_in_snapshots.len());
        let events_since = events_since + task.head_start;
        let rounds = Rounds::new(end, events_since, opened.not_in_snapshots);
        let users = opened.users;
        let keeping = opened.states;
        let keeping = keeping.map(|states| Keeping::new(states, &users, opened.replayed, end));
        let mut quarantined = task.meters.quarantined();
        quarantined.add(u32::try_from(opened.quarantined).unwrap_or(u32::MAX));
        let serving = Self {
            task,
            users,
            defaults: DefaultStates::new(&task.contexts),
            waiting: VecDeque::new(),
            batch: Batch::default(),
            spare: Vec::new(),
            batch_number: 1,
            durable_batch: 0,
            rounds,
            keeping,
            fetching: Fetching::default(),
            trouble: None,
            curing: opened.curing,
            turns: Turns::new(opened.writer.epoch(), task.settings.command_timeout),
            ahead,
            type_names: FxHashMap::default(),
            quarantined,
        };
        (serving, opened.writer)
    }

    fn decide_waiting(&mut self) {
        while self.has_room()
            && let Some(submission) = self.waiting.pop_front()
        {
            match self.users.is_known(submission.request.user) {
                true => self.decide(submission),
                false => self.fetching.miss(submission),
            }
        }
    }

    fn takes_commands(&self) -> bool {
        self.waiting.is_empty()
            && self.has_room()
            && self.fetching.len() < TAKEN_MAX
            && self.trouble.is_none()
            && self
                .keeping
                .as_ref()
                .is_none_or(|keeping| keeping.has_room(&self.users))
    }

    fn has_room(&self) -> bool {
        let settings = &self.task.settings;
        self.batch.events.len() < settings.batch_events_max
            && self.batch.bytes < settings.batch_bytes_max
            && self.batch.decided.len() < settings.queue_commands_max
    }

    fn close_batch(&mut self) -> Batch {
        self.task.meters.batch(self.batch.events.len());
        self.batch_number += 1;
        self.batch.end = self.ahead.lane_sequence;
        // A batch is mostly as large as the one before: its memory is not grown step by step.
        let next = Batch {
            events: Vec::with_capacity(self.batch.events.len()),
            decided: std::mem::take(&mut self.spare),
            ..Batch::default()
        };
        std::mem::replace(&mut self.batch, next)
    }

    /// The append began after every decision in the batch, and it succeeded: the answers hold.
    fn settle(&mut self, batch: &mut Batch, appended: &Appended) {
        debug_assert_eq!(
            appended.lane_sequence, batch.end,
            "answers name their places"
        );
        self.durable_batch += 1;
        let (events, end) = (appended.sequences.len(), appended.lane_sequence);
        self.rounds.appended(events, end);
        if let Some(keeping) = &mut self.keeping {
            keeping.appended(events, end);
        }
        batch.answer();
        self.spare = std::mem::take(&mut batch.decided);
        self.spare.shrink_to(SPARE_MAX);
    }

    /// Users who were spoilt and have been read again: nothing has happened to them meanwhile, since
    /// they took no commands. Of those who are not well the log says since when.
    fn cured(&mut self, cured: Cured) {
        for (id, mut user) in cured {
            let is_well = user.quarantine.is_none();
            // Even where nothing has ever happened to it: what is saved says that it was spoilt.
            (user.dirty, user.unsaved) = (true, true);
            self.users.replace(id, user);
            self.rounds.dirty(id);
            if let Some(keeping) = &mut self.keeping {
                keeping.unsaved(id);
            }
            if !is_well {
                continue;
            }
            tracing::info!(user = %id, "user is no longer quarantined");
            self.quarantined.remove(1);
            if let Some(keeping) = &mut self.keeping {
                keeping.healed(id);
            }
        }
    }

    /// The state speaks of events that may not be there: it is dropped, and so is every answer.
    async fn fail(mut self, in_flight: Batch, error: AppendError) -> Ended {
        tracing::error!(lane = %self.task.lane, error = &error as &dyn std::error::Error, "append failed");
        self.end_writes().await;
        let certain = matches!(error, AppendError::Unavailable { .. });
        let appended = in_flight
            .decided
            .into_iter()
            .map(unsettled)
            .map(|mut command| {
                command.maybe_appended |= !certain;
                command
            });
        let decided = self.batch.decided.into_iter().map(unsettled);
        let waiting = self.fetching.into_commands().chain(self.waiting);
        let commands = appended.chain(decided).chain(waiting).collect();
        match error {
            AppendError::Fenced { .. } => Ended::Replaced(commands),
            AppendError::Unknown { ref source, .. }
            | AppendError::Unavailable { ref source, .. } => Ended::Unsettled {
                commands,
                progressed: self.durable_batch > 0,
                reason: format!("{error}: {source}"),
            },
        }
    }
}

/// What the local store takes part in.
impl Serving<'_> {
    /// Decides what an earlier failure has left unsettled.
    async fn take_back(
        &mut self,
        unsettled: Vec<Submitted>,
    ) -> Result<(), (StateError, Vec<Submitted>)> {
        if let Some(keeping) = &self.keeping {
            let users = unsettled.iter().map(|command| command.request.user);
            let missing = users.filter(|user| !self.users.is_known(*user)).collect();
            let read = keeping.states.read(missing, self.task.contexts.clone());
            match read.await.map_err(StateError::from).flatten() {
                Ok(read) => self
                    .fetching
                    .arrived(read, &mut self.users, &mut self.waiting),
                Err(error) => return Err((error, unsettled)),
            }
        }
        for submission in unsettled {
            self.decide(submission);
        }
        Ok(())
    }

    /// Begins what has to be read and written next.
    fn keep(&mut self, is_idle: bool) {
        let Some(keeping) = self.keeping.as_mut().filter(|_| self.trouble.is_none()) else {
            return;
        };
        if is_idle {
            keeping.idle();
        }
        let contexts = &self.task.contexts;
        self.fetching.begin(&keeping.states, contexts);
        let not_in_snapshots = || self.rounds.not_in_snapshots();
        keeping.advance(
            &mut self.users,
            self.durable_batch,
            contexts,
            not_in_snapshots,
        );
    }

    fn fetched(&mut self, read: Result<Vec<(UserId, Option<User>)>, StateError>) {
        match read {
            Ok(read) => self
                .fetching
                .arrived(read, &mut self.users, &mut self.waiting),
            Err(error) => self.trouble = Some(error),
        }
    }

    fn kept(&mut self, written: Result<(), StateError>) {
        let Some(keeping) = &mut self.keeping else {
            return;
        };
        match written {
            Ok(()) => keeping.wrote(&mut self.users, self.durable_batch),
            Err(error) => self.trouble = Some(error),
        }
    }

    /// Notes that a state was spoilt by what was to come of a command: the store must not keep the
    /// one of before, as if nothing were the matter.
    pub(super) fn spoilt(&mut self, id: UserId) {
        if let Some(keeping) = &mut self.keeping {
            self.users.amend(id, |user| user.unsaved = true);
            keeping.unsaved(id);
        }
    }

    /// Brings the local store up to date before the lane is let go: everything is durable now.
    pub(super) async fn last_keeping(mut self) {
        let mut begun = false;
        while let Some(keeping) = self.keeping.as_mut().filter(|_| self.trouble.is_none()) {
            if !keeping.is_in_round() {
                if std::mem::replace(&mut begun, true) {
                    return;
                }
                keeping.begin_round();
            }
            self.keep(true);
            let Some(keeping) = &mut self.keeping else {
                return;
            };
            let written = keeping.written().await;
            self.kept(written);
        }
        self.discard().await;
    }

    /// Waits for writes that are under way: they must not overtake those of whoever opens the lane
    /// next.
    async fn end_writes(&mut self) {
        let _ = self.rounds.written().await;
        let _ = self.fetching.read().await;
        if let Some(keeping) = &mut self.keeping {
            let _ = keeping.written().await;
        }
    }

    async fn discard(self) {
        if let (Some(error), Some(keeping)) = (self.trouble, self.keeping) {
            tracing::warn!(lane = %self.task.lane, %error, "local states begun anew");
            keeping.states.discard().await;
        }
    }

    /// Nothing is being appended and nothing decided: the lane is opened again, without the local
    /// store that has failed.
    async fn give_up(mut self) -> Ended {
        self.end_writes().await;
        let trouble = self.trouble.as_ref().map(ToString::to_string);
        let fetching = std::mem::take(&mut self.fetching);
        let waiting = std::mem::take(&mut self.waiting);
        let progressed = self.durable_batch > 0;
        self.discard().await;
        Ended::Unsettled {
            commands: fetching.into_commands().chain(waiting).collect(),
            progressed,
            reason: trouble.unwrap_or_default(),
        }
    }
}

fn unsettled((mut submission, answer): (Submitted, Result<Answer, CommandError>)) -> Submitted {
    submission.accepted_before |=
        matches!(answer, Ok(Answer::Accepted(accepted)) if !accepted.replayed);
    submission
}
