//! Serving a lane: the loop that keeps one batch in flight and one in the making.

use std::{future::Future, pin::Pin};

use foldline_event_log::{AppendError, Appended, Heads, LaneWriter};
use foldline_schema::NewEvent;
use rustc_hash::FxHashMap;

use super::{Ended, LaneTask, Submission, opening::Opened, round::Rounds};
use crate::{
    Answer, CommandError,
    user::{DefaultStates, Users},
};

type Appending =
    Pin<Box<dyn Future<Output = (Box<dyn LaneWriter>, Result<Appended, AppendError>)> + Send>>;

/// How many commands are taken from the queue at a time.
const TAKEN_MAX: usize = 256;

/// The batch in the making.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<NewEvent>,
    pub(super) bytes: usize,
    /// Commands that were decided, with the answer each gets once the append has succeeded.
    pub(super) decided: Vec<(Submission, Result<Answer, CommandError>)>,
}

/// A lane that serves.
pub(super) struct Serving<'a> {
    pub(super) task: &'a LaneTaskParts,
    pub(super) users: Users,
    pub(super) defaults: DefaultStates,
    pub(super) batch: Batch,
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
}

/// The parts of the task that serving only reads.
pub(super) struct LaneTaskParts {
    pub(super) lane: foldline_kernel::Lane,
    pub(super) contexts: std::sync::Arc<crate::Contexts>,
    /// For each context of the application its index in the log's topology.
    pub(super) topology_index: Vec<usize>,
    pub(super) settings: crate::Settings,
    pub(super) meters: std::sync::Arc<crate::side::Meters>,
}

impl LaneTask {
    /// Serves until the node stops or an append fails.
    pub(super) async fn serve(&mut self, opened: Opened, unsettled: Vec<Submission>) -> Ended {
        let parts = self.parts();
        let ahead = opened.writer.heads().clone();
        let mut serving = Serving::new(&parts, opened.users, ahead);
        let mut writer = Some(opened.writer);
        let mut appending: Option<Appending> = None;
        let mut in_flight = Batch::default();
        let mut taken = unsettled;
        let mut open = true;
        loop {
            for submission in taken.drain(..) {
                serving.decide(submission);
            }
            if writer.is_some() && !serving.batch.decided.is_empty() {
                in_flight = serving.close_batch();
                let events = std::mem::take(&mut in_flight.events);
                appending = writer.take().map(|writer| append(writer, events));
            }
            if !open && appending.is_none() && serving.batch.decided.is_empty() {
                self.last_round(serving).await;
                return Ended::Stopped;
            }
            serving.rounds.advance(
                &self.snapshots,
                self.log.topology().log_id,
                &mut serving.users,
                serving.durable_batch,
                &parts,
            );
            tokio::select! {
                biased;
                (back, appended) = async { appending.as_mut().expect("guarded").await },
                    if appending.is_some() =>
                {
                    appending = None;
                    match appended {
                        Ok(appended) => {
                            serving.settle(&mut in_flight, &appended);
                            writer = Some(back);
                        }
                        Err(error) => return serving.fail(in_flight, error),
                    }
                }
                count = self.queue.recv_many(&mut taken, TAKEN_MAX),
                    if open && serving.has_room() =>
                {
                    // Zero: the queue is closed and everything in it has been taken.
                    open = count > 0;
                    parts.meters.queued(parts.lane, self.queue.len());
                }
                () = self.stop.cancelled(), if open && !self.queue.is_closed() => {
                    self.queue.close();
                }
                () = serving.rounds.written(), if serving.rounds.is_writing() => {}
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
    fn new(task: &'a LaneTaskParts, users: Users, ahead: Heads) -> Self {
        let mut rounds = Rounds::new(ahead.lane_sequence);
        let quarantined = users
            .by_id
            .values()
            .filter(|user| user.quarantine.is_some())
            .count();
        // What was folded from the log at the start is in no snapshot yet.
        for (id, _) in users.by_id.iter().filter(|(_, user)| user.dirty) {
            rounds.dirty(*id);
        }
        if quarantined > 0 {
            task.meters.quarantined(quarantined as u32);
            rounds.forbid();
        }
        Self {
            task,
            users,
            defaults: DefaultStates::new(&task.contexts),
            batch: Batch::default(),
            batch_number: 1,
            durable_batch: 0,
            rounds,
            ahead,
            type_names: FxHashMap::default(),
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
        std::mem::take(&mut self.batch)
    }

    /// The append began after every decision in the batch, and it succeeded: the answers hold.
    fn settle(&mut self, batch: &mut Batch, appended: &Appended) {
        self.durable_batch += 1;
        self.rounds
            .appended(appended.sequences.len(), appended.lane_sequence);
        for (submission, answer) in batch.decided.drain(..) {
            // Whoever has gone finds the answer by its key.
            let _ = submission.answer.send(answer);
        }
    }

    /// The state speaks of events that may not be there: it is dropped, and so is every answer.
    fn fail(self, in_flight: Batch, error: AppendError) -> Ended {
        tracing::error!(lane = %self.task.lane, error = &error as &dyn std::error::Error, "append failed");
        let decided = in_flight.decided.into_iter().chain(self.batch.decided);
        let unsettled = decided.map(|(submission, _)| submission).collect();
        match error {
            AppendError::Fenced { .. } => Ended::Replaced(unsettled),
            AppendError::Unknown { .. } | AppendError::Unavailable { .. } => {
                Ended::Unsettled(unsettled)
            }
        }
    }
}
