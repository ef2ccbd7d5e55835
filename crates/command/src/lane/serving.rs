//! Serving a lane: the loop that keeps one batch in flight and one in the making.

use std::{collections::VecDeque, future::Future, pin::Pin};

use foldline_event_log::{AppendError, Appended, Heads, LaneWriter};
use foldline_kernel::LaneSequence;
use foldline_schema::NewEvent;
use rustc_hash::FxHashMap;

use super::{
    Ended, LaneTask, Submitted, curing::Curing, opening::Opened, round::Rounds, turns::Turns,
};
use crate::{
    Answer, CommandError,
    meters::Quarantined,
    user::{DefaultStates, Users},
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
    curing: Curing,
    pub(super) turns: Turns,
    pub(super) quarantined: Quarantined,
}

/// The parts of the task that serving only reads.
pub(super) struct LaneTaskParts {
    pub(super) lane: foldline_kernel::Lane,
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
        for submission in unsettled {
            serving.decide(submission);
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
            if !open && appending.is_none() {
                self.last_rounds(serving).await;
                return Ended::Stopped;
            }
            if serving.rounds.is_due(appending.is_none()) {
                let durable_batch = serving.durable_batch;
                serving
                    .rounds
                    .advance(&mut serving.users, durable_batch, self, &parts);
            }
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
                    if open && !proving && serving.waiting.is_empty() && serving.has_room() =>
                {
                    // Zero: the queue is closed and everything in it has been taken.
                    open = count > 0;
                    serving.waiting.extend(taken.drain(..));
                }
                written = serving.rounds.written(), if serving.rounds.is_writing() => {
                    serving.rounds.wrote(written, &mut serving.users);
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
        LaneTaskParts {
            lane: self.lane,
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
        let (mut users, ahead) = (opened.users, opened.writer.heads().clone());
        let mut rounds = Rounds::new(ahead.lane_sequence, opened.replayed);
        let mut quarantined = task.meters.quarantined();
        for (id, user) in &mut users.by_id {
            // What was folded from the log at the start is in no snapshot yet.
            if user.dirty {
                rounds.dirty(*id);
            }
            if let Some(quarantine) = &mut user.quarantine {
                quarantined.add(1);
                if user.dirty {
                    quarantine.spoilt = Some(ahead.lane_sequence);
                }
            }
        }
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
            self.decide(submission);
        }
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
        self.rounds
            .appended(appended.sequences.len(), appended.lane_sequence);
        batch.answer();
        self.spare = std::mem::take(&mut batch.decided);
        self.spare.shrink_to(SPARE_MAX);
    }

    /// Users who were spoilt and are well: nothing has happened to them meanwhile, since they took
    /// no commands.
    fn cured(&mut self, cured: Users) {
        for (id, user) in cured.by_id {
            tracing::info!(user = %id, "user is no longer quarantined");
            self.users.by_id.insert(id, user);
            self.quarantined.remove(1);
            self.rounds.dirty(id);
        }
    }

    /// The state speaks of events that may not be there: it is dropped, and so is every answer.
    async fn fail(mut self, in_flight: Batch, error: AppendError) -> Ended {
        tracing::error!(lane = %self.task.lane, error = &error as &dyn std::error::Error, "append failed");
        // A slice that is still being written must not overtake one of the next round.
        let _ = self.rounds.written().await;
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
        let commands = appended.chain(decided).chain(self.waiting).collect();
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

fn unsettled((mut submission, answer): (Submitted, Result<Answer, CommandError>)) -> Submitted {
    submission.accepted_before |=
        matches!(answer, Ok(Answer::Accepted(accepted)) if !accepted.replayed);
    submission
}
