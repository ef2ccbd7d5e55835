//! The command side as a whole: every lane's task, and the way in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use foldline_event_log::{EventLog, SnapshotStore};
use foldline_kernel::{CommandId, Lane, Right};
use foldline_schema::command_hash;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Answer, CommandError, Contexts, Request,
    lane::{LaneTask, Submission, parse_error},
    meters::Meters,
};

/// The bounds of the command side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most commands that wait for one lane; more are answered as overloaded.
    pub queue_commands_max: usize,
    /// The most events in one append; a command's own are never cut apart, so its last command
    /// may go beyond, and twice as many may come after a failure.
    pub batch_events_max: usize,
    /// The most bytes of `data` in one append, within the same limits.
    pub batch_bytes_max: usize,
    /// The most bytes of `data` that one command may yield.
    pub command_bytes_max: usize,
    /// How many accepted commands a stream remembers by their keys.
    pub remembered_commands: usize,
    /// How many events a lane appends between two snapshot rounds.
    pub snapshot_events: usize,
    /// How long a command may take before its caller is told that the outcome is unknown.
    pub command_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_commands_max: 1024,
            batch_events_max: 2048,
            batch_bytes_max: 4 << 20,
            command_bytes_max: 900_000,
            remembered_commands: 256,
            snapshot_events: 100_000,
            command_timeout: Duration::from_secs(10),
        }
    }
}

/// What a lane is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneHealth {
    /// It is being taken over; the text says what holds it up, if anything.
    Opening(String),
    /// It takes commands.
    Serving,
    /// It takes none until somebody has looked; the text says why.
    Closed(String),
    /// The node has stopped.
    Stopped,
}

/// Takes commands, decides them lane by lane and answers them.
pub struct CommandSide {
    contexts: Arc<Contexts>,
    log: Arc<dyn EventLog>,
    settings: Settings,
    lanes: Vec<LaneHandle>,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
    meters: Arc<Meters>,
}

struct LaneHandle {
    queue: mpsc::Sender<Submission>,
    health: watch::Receiver<LaneHealth>,
}

impl LaneHandle {
    fn health(&self) -> LaneHealth {
        let health = self.health.borrow().clone();
        let gone = self.health.has_changed().is_err();
        match health {
            // A task that ends says so last; this one did not come to that.
            LaneHealth::Opening(_) | LaneHealth::Serving if gone => {
                LaneHealth::Closed("its task has failed; start the node again".to_owned())
            }
            health => health,
        }
    }
}

impl CommandSide {
    /// Starts the task of every lane of the log.
    pub fn start(
        log: Arc<dyn EventLog>,
        snapshots: Option<Arc<dyn SnapshotStore>>,
        contexts: Arc<Contexts>,
        settings: Settings,
    ) -> Self {
        let stop = CancellationToken::new();
        let meters = Arc::new(Meters::new(&contexts, log.topology().lanes));
        let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
        for lane in log.topology().all_lanes() {
            let (sender, queue) = mpsc::channel(settings.queue_commands_max);
            let (health, healths) = watch::channel(LaneHealth::Opening(String::new()));
            let task = LaneTask {
                lane,
                log: log.clone(),
                snapshots: snapshots.clone(),
                contexts: contexts.clone(),
                settings: settings.clone(),
                queue,
                health,
                stop: stop.clone(),
                meters: meters.clone(),
            };
            lanes.push(LaneHandle {
                queue: sender,
                health: healths,
            });
            tasks.push(tokio::spawn(task.run()));
        }
        Self {
            contexts,
            log,
            settings,
            lanes,
            tasks: tasks.into(),
            stop,
            meters,
        }
    }

    /// Returns the contexts it serves.
    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// Decides a command and returns once its answer holds.
    ///
    /// # Errors
    /// [`CommandError`]; only `OutcomeUnknown` leaves open whether it took effect, and sending it
    /// again with its key settles that.
    pub async fn submit(&self, request: Request) -> Result<Answer, CommandError> {
        let (begun, context) = (Instant::now(), self.contexts.find(&request.context));
        let answer = self.submit_to_lane(request, context, begun).await;
        self.meters.answered(context, &answer, begun.elapsed());
        answer
    }

    async fn submit_to_lane(
        &self,
        request: Request,
        context: Option<usize>,
        begun: Instant,
    ) -> Result<Answer, CommandError> {
        let (submission, answer) = self.prepare(request, context, begun)?;
        let lane = self.log.topology().lane_of(submission.request.user);
        let key = submission.request.key.clone();
        self.enqueue(lane, submission)?;
        match tokio::time::timeout(self.settings.command_timeout, answer).await {
            Ok(Ok(answer)) => answer,
            // Queued and then dropped, or not answered in time: it may have been appended.
            Ok(Err(_)) | Err(_) => Err(CommandError::OutcomeUnknown { key }),
        }
    }

    /// Checks everything that needs no state, away from the lane.
    fn prepare(
        &self,
        request: Request,
        context: Option<usize>,
        begun: Instant,
    ) -> Result<(Submission, oneshot::Receiver<Result<Answer, CommandError>>), CommandError> {
        let Some(context) = context else {
            let known = self
                .contexts
                .names()
                .iter()
                .map(ToString::to_string)
                .collect();
            return Err(CommandError::UnknownContext {
                context: request.context.to_string(),
                known,
            });
        };
        if request.time.is_some() && !request.caller.may(Right::Import) {
            return Err(CommandError::NotAllowed {
                right: "import",
                action: "set an event's time",
            });
        }
        let rules = self.contexts.rules(context);
        let command = rules
            .parse(&request.command, &request.body)
            .map_err(|error| parse_error(&request, error, rules.commands()))?;
        let (sender, answer) = oneshot::channel();
        let hash = command_hash(&request.context, &request.command, &request.body);
        let submission = Submission {
            request,
            context,
            command: Some(command),
            hash,
            time: None,
            accepted_before: false,
            maybe_appended: false,
            deadline: begun + self.settings.command_timeout,
            answer: sender,
        };
        Ok((submission, answer))
    }

    fn enqueue(&self, lane: Lane, submission: Submission) -> Result<(), CommandError> {
        let handle = &self.lanes[lane.index()];
        handle
            .queue
            .try_send(submission)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => CommandError::Overloaded {
                    lane,
                    queued: self.settings.queue_commands_max,
                },
                mpsc::error::TrySendError::Closed(_) => {
                    let reason = match handle.health() {
                        LaneHealth::Closed(reason) => reason,
                        _ => "the node is stopping".to_owned(),
                    };
                    CommandError::Unavailable { lane, reason }
                }
            })
    }

    /// Returns what every lane is doing, by lane.
    pub fn health(&self) -> Vec<LaneHealth> {
        self.lanes.iter().map(LaneHandle::health).collect()
    }

    /// Waits until every lane serves, or is closed for good.
    pub async fn ready(&self) {
        for lane in &self.lanes {
            let mut health = lane.health.clone();
            // An error means that the task has gone, and with it the wait.
            let _ = health
                .wait_for(|health| !matches!(health, LaneHealth::Opening(_)))
                .await;
        }
    }

    /// Stops gracefully: takes no more, answers what it accepted, saves what makes the next
    /// start quick.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = match self.tasks.lock() {
            Ok(mut tasks) => std::mem::take(&mut *tasks),
            Err(_) => return,
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a lane's task has failed");
            }
        }
    }

    /// Mints a key for a command that came without one.
    pub fn minted_key() -> CommandId {
        CommandId::minted(uuid::Uuid::now_v7())
    }
}

impl std::fmt::Debug for CommandSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandSide")
            .field("contexts", &self.contexts)
            .finish_non_exhaustive()
    }
}
