//! The task of one lane: takes what is queued, decides, appends, answers.

mod deciding;
mod opening;
mod round;
mod serving;

pub(crate) use deciding::parse_error;

use std::{any::Any, sync::Arc, time::Instant};

use foldline_event_log::{EventLog, SnapshotStore};
use foldline_kernel::{Lane, Timestamp};
use foldline_schema::CommandHash;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Answer, CommandError, Contexts, Request, Settings,
    side::{LaneHealth, Meters},
};

/// A command on its way to an answer.
pub(crate) struct Submission {
    pub(crate) request: Request,
    /// The index of its context.
    pub(crate) context: usize,
    /// The parsed body; taken when it is decided, parsed again should it be decided again.
    pub(crate) command: Option<Box<dyn Any + Send>>,
    pub(crate) hash: CommandHash,
    /// The time its events carry, once it has been decided.
    pub(crate) time: Option<Timestamp>,
    /// Whether it has been decided before and its batch was left unsettled: finding it in the log
    /// is then its first answer, not a repeat.
    pub(crate) decided_before: bool,
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Answer, CommandError>>,
}

impl Submission {
    /// Whoever asked has gone or has been told that the outcome is unknown; deciding it now would
    /// be work for nobody.
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed() || self.deadline <= Instant::now()
    }
}

/// Everything a lane's task is made of; it runs until it is stopped or its lane is corrupt.
pub(crate) struct LaneTask {
    pub(crate) lane: Lane,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) snapshots: Option<Arc<dyn SnapshotStore>>,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) settings: Settings,
    pub(crate) queue: mpsc::Receiver<Submission>,
    pub(crate) health: watch::Sender<LaneHealth>,
    pub(crate) stop: CancellationToken,
    pub(crate) meters: Arc<Meters>,
}

/// How serving ended.
enum Ended {
    /// Everything that was accepted has been answered.
    Stopped,
    /// The last append failed; these commands are not settled, in the order they came.
    Unsettled(Vec<Submission>),
    /// Another writer has the lane; these commands may or may not be in the log.
    Replaced(Vec<Submission>),
}

impl LaneTask {
    pub(crate) async fn run(mut self) {
        let mut unsettled = Vec::new();
        loop {
            let opened = match self.take_over().await {
                Ok(opened) => opened,
                Err(reason) => return self.close(unsettled, reason).await,
            };
            self.health.send_replace(LaneHealth::Serving);
            match self.serve(opened, unsettled).await {
                Ended::Stopped => {
                    self.health.send_replace(LaneHealth::Stopped);
                    return;
                }
                // The next writer has read the tail: those commands that did become durable are
                // remembered by their keys and answered from there, the others are decided anew.
                Ended::Unsettled(mut commands) => {
                    commands
                        .iter_mut()
                        .for_each(|command| command.decided_before = true);
                    unsettled = commands;
                }
                Ended::Replaced(commands) => {
                    let reason = "another writer has taken the lane".to_owned();
                    return self.close(commands, reason).await;
                }
            }
        }
    }

    /// Refuses everything from now on; what is unsettled has an unknown outcome.
    async fn close(&mut self, unsettled: Vec<Submission>, reason: String) {
        let stopped = self.stop.is_cancelled();
        self.health.send_replace(if stopped {
            LaneHealth::Stopped
        } else {
            tracing::error!(lane = %self.lane, %reason, "lane closed");
            LaneHealth::Closed(reason.clone())
        });
        for submission in unsettled {
            let key = submission.request.key.clone();
            let _ = submission
                .answer
                .send(Err(CommandError::OutcomeUnknown { key }));
        }
        self.queue.close();
        while let Some(submission) = self.queue.recv().await {
            let unavailable = CommandError::Unavailable {
                lane: self.lane,
                reason: reason.clone(),
            };
            let _ = submission.answer.send(Err(unavailable));
        }
    }
}
