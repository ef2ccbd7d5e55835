//! The task of one lane: takes what is queued, decides, appends, answers.

mod curing;
mod deciding;
mod fetching;
mod keeping;
mod opening;
mod restoring;
mod round;
mod serving;
mod turns;

pub(crate) use deciding::parse_error;

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use foldline_event_log::{EventLog, SnapshotStore};
use foldline_kernel::{Lane, Timestamp};
use foldline_schema::CommandHash;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::opening::Pauses;
use crate::{
    Answer, CommandError, Contexts, Request, Settings, meters::Meters, owned::LaneHealth,
    state::States,
};

/// A command on its way to an answer changes hands many times, so it goes about in a box.
pub(crate) type Submitted = Box<Submission>;

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
    /// Whether it was accepted into a batch that was left unsettled: finding it in the log is then
    /// its first answer, not a repeat.
    pub(crate) accepted_before: bool,
    /// Whether an append that may have brought it has an unknown outcome: nobody may be told then
    /// that nothing happened.
    pub(crate) maybe_appended: bool,
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
    /// Where the node takes commands, for its writers to announce.
    pub(crate) address: Option<String>,
    pub(crate) snapshots: Option<Arc<dyn SnapshotStore>>,
    pub(crate) states: Arc<States>,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) settings: Settings,
    pub(crate) queue: mpsc::Receiver<Submitted>,
    pub(crate) health: watch::Sender<LaneHealth>,
    pub(crate) stop: CancellationToken,
    pub(crate) meters: Arc<Meters>,
}

/// How long a lane that other nodes could own waits after a failed append before it opens another
/// writer. A node that was paused hears within this time that its lanes are others' now, and lets
/// them go (which ends the wait) instead of fencing whoever has them.
const TAKE_BACK_PAUSE: Duration = Duration::from_secs(1);

/// Why nothing new is begun any more.
const STOPPING: &str = "the node is stopping";

/// How serving ended.
enum Ended {
    /// Everything that was accepted has been answered.
    Stopped,
    /// An append failed.
    Unsettled {
        /// The commands that have no answer, in the order they came.
        commands: Vec<Submitted>,
        /// Whether an append had succeeded before, so that every command that an earlier failure
        /// left unsettled has its answer.
        progressed: bool,
        reason: String,
    },
    /// Another writer has the lane; these commands may or may not be in the log.
    Replaced(Vec<Submitted>),
}

/// Why a lane's task is over, with the commands that have no answer.
enum Closed {
    /// Another writer has the lane.
    Replaced(Vec<Submitted>),
    /// Nobody serves the lane until somebody has looked, or the node is stopping.
    For(Vec<Submitted>, String),
}

impl LaneTask {
    pub(crate) async fn run(mut self) {
        match self.run_until_closed().await {
            Ok(()) => drop(self.health.send_replace(LaneHealth::Stopped)),
            Err(Closed::Replaced(unsettled)) if self.address.is_some() => {
                self.step_down(unsettled).await;
            }
            // There is no other node that it could be: somebody has to look.
            Err(Closed::Replaced(unsettled)) => {
                let reason = "another writer has taken the lane".to_owned();
                self.close(unsettled, reason).await;
            }
            Err(Closed::For(unsettled, reason)) => self.close(unsettled, reason).await,
        }
    }

    /// Takes the lane over and serves, again and again while appends fail.
    ///
    /// Each takeover reads the tail: commands that did become durable are remembered by their
    /// keys and answered from there, the others are decided anew. More than the usual number is
    /// remembered until they have been looked for, since more than that may have been in the
    /// batch; a command whose key is forgotten would be decided a second time.
    async fn run_until_closed(&mut self) -> Result<(), Closed> {
        let (mut unsettled, mut unsettled_max) = (Vec::<Submitted>::new(), 0);
        let mut pauses = Pauses::default();
        loop {
            let remembered_max = self.settings.remembered_commands + unsettled_max;
            let opened = self
                .take_over(remembered_max, &mut pauses, &mut unsettled)
                .await;
            let opened = match opened {
                Ok(opened) => opened,
                Err(reason) => return Err(Closed::For(unsettled, reason)),
            };
            self.health.send_replace(LaneHealth::Serving);
            match self.serve(opened, unsettled).await {
                Ended::Stopped => return Ok(()),
                Ended::Replaced(commands) => return Err(Closed::Replaced(commands)),
                Ended::Unsettled {
                    commands,
                    progressed,
                    reason,
                } => {
                    if progressed {
                        (unsettled_max, pauses) = (0, Pauses::default());
                    }
                    unsettled_max = unsettled_max.max(commands.len());
                    unsettled = commands;
                    if self.address.is_some() {
                        pauses.at_least(TAKE_BACK_PAUSE);
                    }
                    let paused = self.pause(reason, &mut pauses, &mut unsettled).await;
                    if let Err(stopping) = paused {
                        return Err(Closed::For(unsettled, stopping));
                    }
                }
            }
        }
    }

    /// Says to everybody who waits that another node owns the lane now: that one knows by the keys
    /// what became of what is unsettled here.
    async fn step_down(&mut self, unsettled: Vec<Submitted>) {
        tracing::warn!(lane = %self.lane, "another writer has taken the lane");
        self.health.send_replace(LaneHealth::Elsewhere);
        let elsewhere = |submission: Submitted, maybe_taken| {
            let lane = self.lane;
            let elsewhere = CommandError::Elsewhere { lane, maybe_taken };
            // Whoever has gone finds the answer by its key.
            let _ = submission.answer.send(Err(elsewhere));
        };
        for submission in unsettled {
            elsewhere(submission, true);
        }
        self.queue.close();
        while let Some(submission) = self.queue.recv().await {
            elsewhere(submission, false);
        }
    }

    /// Refuses everything from now on; what is unsettled has an unknown outcome.
    async fn close(&mut self, unsettled: Vec<Submitted>, reason: String) {
        self.health.send_replace(if self.stop.is_cancelled() {
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
            self.refuse(submission, &reason);
        }
    }
}
