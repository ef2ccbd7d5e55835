//! The command side as a whole: every lane's task, and the way in.

use std::{
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use foldline_event_log::{EventLog, SnapshotStore};
use foldline_kernel::{CommandId, Lane, Right};
use foldline_schema::command_hash;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Answer, CommandError, Contexts, Neighbours, Request, StateSettings,
    lane::{LaneTask, Submission, Submitted, parse_error},
    meters::Meters,
    owned::{LaneHandle, LaneHealth},
    state::States,
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
    /// How long a lane's task may take to end; one that hangs is left, and fenced by the next.
    pub stop_max: Duration,
    /// How much of the users' states is in memory, and where the rest is.
    pub state: StateSettings,
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
            stop_max: Duration::from_secs(20),
            state: StateSettings::default(),
        }
    }
}

/// Takes commands, decides them lane by lane and answers them.
pub struct CommandSide {
    contexts: Arc<Contexts>,
    log: Arc<dyn EventLog>,
    settings: Settings,
    snapshots: Option<Arc<dyn SnapshotStore>>,
    /// The other nodes; `None` where this one owns every lane.
    neighbours: Option<Neighbours>,
    /// By lane; `None` where another node owns it. Nothing is awaited while it is locked.
    lanes: Vec<RwLock<Option<LaneHandle>>>,
    meters: Arc<Meters>,
    states: Arc<States>,
}

impl CommandSide {
    /// Starts the task of every lane of the log.
    pub fn start(
        log: Arc<dyn EventLog>,
        snapshots: Option<Arc<dyn SnapshotStore>>,
        contexts: Arc<Contexts>,
        settings: Settings,
    ) -> Self {
        let side = Self::new(log, snapshots, contexts, settings, None);
        side.log
            .topology()
            .all_lanes()
            .for_each(|lane| side.own(lane));
        side
    }

    /// Starts one of several nodes: it owns no lane until it is told to ([`Self::own`]), and passes
    /// commands on to the owners of the others.
    pub fn start_among(
        neighbours: Neighbours,
        log: Arc<dyn EventLog>,
        snapshots: Option<Arc<dyn SnapshotStore>>,
        contexts: Arc<Contexts>,
        settings: Settings,
    ) -> Self {
        Self::new(log, snapshots, contexts, settings, Some(neighbours))
    }

    fn new(
        log: Arc<dyn EventLog>,
        snapshots: Option<Arc<dyn SnapshotStore>>,
        contexts: Arc<Contexts>,
        settings: Settings,
        neighbours: Option<Neighbours>,
    ) -> Self {
        Self {
            meters: Arc::new(Meters::new(&contexts, log.topology().lanes)),
            states: Arc::new(States::new(
                settings.state.clone(),
                &contexts,
                log.topology().log_id,
                log.topology().lanes,
            )),
            lanes: log
                .topology()
                .all_lanes()
                .map(|_| RwLock::default())
                .collect(),
            contexts,
            log,
            settings,
            snapshots,
            neighbours,
        }
    }

    /// Takes a lane over, unless this node is at it already. Only the node that the lane was
    /// assigned to may do so: whoever was its writer is fenced.
    pub fn own(&self, lane: Lane) {
        let mut owned = self.write(lane);
        if owned
            .as_ref()
            .is_some_and(|owned| !owned.task.is_finished())
        {
            return;
        }
        let (sender, queue) = mpsc::channel(self.settings.queue_commands_max);
        let (health, healths) = watch::channel(LaneHealth::Opening(String::new()));
        let stop = CancellationToken::new();
        let task = LaneTask {
            lane,
            log: self.log.clone(),
            address: self.neighbours.as_ref().map(|known| known.address.clone()),
            snapshots: self.snapshots.clone(),
            states: self.states.clone(),
            contexts: self.contexts.clone(),
            settings: self.settings.clone(),
            queue,
            health,
            stop: stop.clone(),
            meters: self.meters.clone(),
        };
        *owned = Some(LaneHandle {
            queue: sender,
            health: healths,
            stop,
            task: tokio::spawn(task.run()),
        });
    }

    /// Gives a lane up: takes no more of its commands, answers what it accepted, saves what makes
    /// the next owner's start quick. After it returns, this node appends nothing to the lane.
    pub async fn release(&self, lane: Lane) {
        let Some(owned) = self.write(lane).take() else {
            return;
        };
        owned.stop.cancel();
        drop(owned.queue);
        let mut task = owned.task;
        match tokio::time::timeout(self.settings.stop_max, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%lane, %error, "a lane's task has failed"),
            // Whatever it is at, the next writer fences it.
            Err(_) => {
                tracing::error!(%lane, "a lane's task does not end; it is left");
                task.abort();
            }
        }
    }

    /// Returns the lanes that this node was told to own and whose tasks have ended all the same:
    /// another writer was there, or the lane is corrupt.
    pub fn ended(&self) -> Vec<Lane> {
        let lanes = self.log.topology().all_lanes();
        lanes.filter(|lane| self.has_ended(*lane)).collect()
    }

    fn has_ended(&self, lane: Lane) -> bool {
        let owned = self.read(lane);
        owned.as_ref().is_some_and(|owned| owned.task.is_finished())
    }

    pub(crate) fn owns(&self, lane: Lane) -> bool {
        let owned = self.read(lane);
        owned
            .as_ref()
            .is_some_and(|owned| !owned.task.is_finished())
    }

    pub(crate) fn lane_of(&self, request: &Request) -> Lane {
        self.log.topology().lane_of(request.user)
    }

    /// Returns until when a command that came at `begun` has to be answered.
    pub(crate) fn deadline(&self, request: &Request, begun: Instant) -> Instant {
        let bound = self.settings.command_timeout;
        begun + request.within.map_or(bound, |within| within.min(bound))
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    fn read(&self, lane: Lane) -> RwLockReadGuard<'_, Option<LaneHandle>> {
        let slot = self.lanes[lane.index()].read();
        slot.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self, lane: Lane) -> RwLockWriteGuard<'_, Option<LaneHandle>> {
        let slot = self.lanes[lane.index()].write();
        slot.unwrap_or_else(std::sync::PoisonError::into_inner)
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
        let answer = match &self.neighbours {
            Some(neighbours) => self.submit_to_owner(neighbours, request, begun).await,
            None => self.submit_here(request, begun).await,
        };
        self.meters.answered(context, &answer, begun.elapsed());
        answer
    }

    /// Has a command decided by this node.
    pub(crate) async fn submit_here(
        &self,
        request: Request,
        begun: Instant,
    ) -> Result<Answer, CommandError> {
        let context = self.contexts.find(&request.context);
        let (submission, answer) = self.prepare(request, context, begun)?;
        let deadline = submission.deadline;
        let lane = self.lane_of(&submission.request);
        let key = submission.request.key.clone();
        self.enqueue(lane, submission)?;
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, answer).await {
            Ok(Ok(answer)) => answer,
            // Queued and then dropped, or not answered in time: it may have been appended.
            Ok(Err(_)) | Err(_) => Err(CommandError::OutcomeUnknown { key }),
        }
    }

    pub(crate) fn unknown_context(&self, request: &Request) -> CommandError {
        let known = self.contexts.names();
        CommandError::UnknownContext {
            context: request.context.to_string(),
            known: known.iter().map(ToString::to_string).collect(),
        }
    }

    /// Checks everything that needs no state, away from the lane.
    fn prepare(
        &self,
        request: Request,
        context: Option<usize>,
        begun: Instant,
    ) -> Result<(Submitted, oneshot::Receiver<Result<Answer, CommandError>>), CommandError> {
        let Some(context) = context else {
            return Err(self.unknown_context(&request));
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
        let deadline = self.deadline(&request, begun);
        let hash = command_hash(&request.context, &request.command, &request.body);
        let submission = Box::new(Submission {
            request,
            context,
            command: Some(command),
            hash,
            time: None,
            accepted_before: false,
            maybe_appended: false,
            deadline,
            answer: sender,
        });
        Ok((submission, answer))
    }

    fn enqueue(&self, lane: Lane, submission: Submitted) -> Result<(), CommandError> {
        let owned = self.read(lane);
        let Some(owned) = owned.as_ref() else {
            return Err(CommandError::Elsewhere {
                lane,
                maybe_taken: false,
            });
        };
        owned
            .queue
            .try_send(submission)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => CommandError::Overloaded {
                    lane,
                    queued: self.settings.queue_commands_max,
                },
                mpsc::error::TrySendError::Closed(_) => match owned.health() {
                    LaneHealth::Elsewhere => CommandError::Elsewhere {
                        lane,
                        maybe_taken: false,
                    },
                    LaneHealth::Closed(reason) => CommandError::Unavailable { lane, reason },
                    _ => CommandError::Unavailable {
                        lane,
                        reason: "the node is stopping".to_owned(),
                    },
                },
            })
    }

    /// Returns what every lane is doing, by lane.
    pub fn health(&self) -> Vec<LaneHealth> {
        let lanes = self.log.topology().all_lanes();
        lanes.map(|lane| self.health_of(lane)).collect()
    }

    /// Returns what a lane is doing.
    pub fn health_of(&self, lane: Lane) -> LaneHealth {
        let owned = self.read(lane);
        owned
            .as_ref()
            .map_or(LaneHealth::Elsewhere, LaneHandle::health)
    }

    /// Sets the gauges of what waits, for whoever is about to read them: commands come and go too
    /// often to set them each time.
    pub fn measure(&self) {
        for lane in self.log.topology().all_lanes() {
            let queued = |owned: &LaneHandle| owned.queue.max_capacity() - owned.queue.capacity();
            let queued = self.read(lane).as_ref().map_or(0, queued);
            self.meters.queued(lane, queued);
        }
    }

    /// Waits until every lane of this node serves, or is closed for good.
    pub async fn ready(&self) {
        for lane in self.log.topology().all_lanes() {
            let health = self.read(lane).as_ref().map(|owned| owned.health.clone());
            let Some(mut health) = health else { continue };
            // An error means that the task has gone, and with it the wait.
            let _ = health
                .wait_for(|health| !matches!(health, LaneHealth::Opening(_)))
                .await;
        }
    }

    /// Stops gracefully: takes no more, answers what it accepted, saves what makes the next
    /// start quick.
    pub async fn stop(&self) {
        let lanes = || self.log.topology().all_lanes();
        for lane in lanes() {
            if let Some(owned) = self.read(lane).as_ref() {
                owned.stop.cancel();
            }
        }
        for lane in lanes() {
            self.finish(lane).await;
        }
        self.states.close().await;
    }

    /// Waits for the end of a lane's task that was told to stop; what it said last stays.
    async fn finish(&self, lane: Lane) {
        let health = self.read(lane).as_ref().map(|owned| owned.health.clone());
        let Some(mut health) = health else { return };
        // The sender goes with the task.
        let ended = async { while health.changed().await.is_ok() {} };
        if tokio::time::timeout(self.settings.stop_max, ended)
            .await
            .is_err()
        {
            tracing::error!(%lane, "a lane's task does not end; it is left");
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
