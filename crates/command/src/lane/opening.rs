//! Taking a lane over: fence, restore states, read to the end.

use std::time::{Duration, Instant};

use foldline_event_log::{Announcement, FollowError, LaneWriter, OpenWriterError};
use foldline_kernel::UserId;
use rustc_hash::FxHashSet;

use super::{LaneTask, STOPPING, Submitted, curing::Curing, restoring::Restored};
use crate::{
    CommandError,
    owned::LaneHealth,
    state::{LaneStates, StateError},
    users::Users,
};

/// The longest pause before a lane is opened again, after a failure to open it or to append.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(10);
/// How long commands wait for a lane that keeps failing; from then on they are refused at once,
/// until it serves again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many events are read at a time.
pub(super) const READ_EVENTS: usize = 1000;

/// The pauses between tries that fail one after another, each twice the one before.
pub(super) struct Pauses {
    next: Duration,
    failing_since: Option<Instant>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            next: RETRY_PAUSE_MIN,
            failing_since: None,
        }
    }
}

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(RETRY_PAUSE_MAX);
        self.failing_since.get_or_insert_with(Instant::now);
        pause
    }

    /// Makes the next pause no shorter than this.
    pub(super) fn at_least(&mut self, pause: Duration) {
        self.next = self.next.max(pause);
    }

    fn patience_is_over(&self) -> bool {
        self.failing_since
            .is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

/// A lane that is ready to serve.
pub(super) struct Opened {
    pub(super) writer: Box<dyn LaneWriter>,
    pub(super) users: Users,
    /// The local store, with everybody in it who is not in memory.
    pub(super) states: Option<LaneStates>,
    /// How many events had to be read because nothing held them.
    pub(super) replayed: usize,
    /// Whom the snapshots may lack.
    pub(super) not_in_snapshots: FxHashSet<UserId>,
    /// How many users are quarantined.
    pub(super) quarantined: usize,
    /// The users whose saved states were spoilt, being read again.
    pub(super) curing: Curing,
}

pub(super) enum OpenError {
    /// Worth another try.
    Unavailable(String),
    /// The lane stays closed until somebody has looked.
    Corrupt(String),
    /// The local store has failed.
    Store(StateError),
}

impl From<FollowError> for OpenError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Unavailable { ref source, .. } => {
                Self::Unavailable(format!("{error}: {source}"))
            }
            FollowError::Corrupt { .. } => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<StateError> for OpenError {
    fn from(error: StateError) -> Self {
        Self::Store(error)
    }
}

impl LaneTask {
    /// Takes the lane over, trying again while it is merely unavailable.
    ///
    /// The order matters: the writer is opened first, so that nothing of an earlier one can
    /// become visible any more; only then is the end known up to which the state must be read.
    pub(super) async fn take_over(
        &mut self,
        remembered_max: usize,
        pauses: &mut Pauses,
        unsettled: &mut Vec<Submitted>,
    ) -> Result<Opened, String> {
        loop {
            let opened = tokio::select! {
                opened = self.open(remembered_max) => opened,
                () = self.stop.cancelled() => return Err(STOPPING.to_owned()),
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(OpenError::Corrupt(reason)) => return Err(reason),
                Err(OpenError::Store(error)) => {
                    tracing::warn!(lane = %self.lane, %error, "lane cannot be opened yet");
                    self.pause(error.to_string(), pauses, unsettled).await?;
                }
                Err(OpenError::Unavailable(reason)) => {
                    tracing::warn!(lane = %self.lane, %reason, "lane cannot be opened yet");
                    self.pause(reason, pauses, unsettled).await?;
                }
            }
        }
    }

    /// Waits before the next try, and says meanwhile what it waits for: in the lane's health, and
    /// to every command once this has lasted.
    ///
    /// # Errors
    /// When the node is stopping: there is no next try.
    pub(super) async fn pause(
        &mut self,
        reason: String,
        pauses: &mut Pauses,
        unsettled: &mut Vec<Submitted>,
    ) -> Result<(), String> {
        self.health
            .send_replace(LaneHealth::Opening(reason.clone()));
        let next_try = tokio::time::sleep(pauses.next());
        tokio::pin!(next_try);
        let refusing = pauses.patience_is_over();
        if refusing {
            for command in unsettled.extract_if(.., |command| !command.maybe_appended) {
                self.refuse(command, &reason);
            }
        }
        loop {
            tokio::select! {
                () = &mut next_try => return Ok(()),
                () = self.stop.cancelled() => return Err(STOPPING.to_owned()),
                Some(command) = self.queue.recv(), if refusing => self.refuse(command, &reason),
            }
        }
    }

    pub(super) fn refuse(&self, command: Submitted, reason: &str) {
        let unavailable = CommandError::Unavailable {
            lane: self.lane,
            reason: reason.to_owned(),
        };
        // Whoever has gone need not be told.
        let _ = command.answer.send(Err(unavailable));
    }

    async fn open(&self, remembered_max: usize) -> Result<Opened, OpenError> {
        let announcement = Announcement {
            address: self.address.clone(),
        };
        let writer = self
            .log
            .open_writer(self.lane, announcement)
            .await
            .map_err(|error| match error {
                OpenWriterError::Unavailable { ref source, .. } => {
                    OpenError::Unavailable(format!("{error}: {source}"))
                }
                OpenWriterError::Corrupt { .. } => OpenError::Corrupt(error.to_string()),
            })?;
        let end = writer.heads().lane_sequence;
        // After the lane is this writer's: whoever had it here before has let go of the store.
        let states = self.states.lane(self.lane).await?;
        let restored = self.restore(states.as_ref(), end, remembered_max).await;
        let restored = match (restored, states.clone()) {
            (Err(OpenError::Store(error)), Some(states)) => {
                tracing::warn!(lane = %self.lane, %error, "local states begun anew");
                states.discard().await;
                return Err(OpenError::Unavailable(error.to_string()));
            }
            (restored, _) => restored?,
        };
        let Restored {
            users,
            replayed,
            not_in_snapshots,
            spoilt,
            spoilt_before,
        } = restored;
        Ok(Opened {
            writer,
            users,
            states,
            replayed,
            not_in_snapshots,
            quarantined: spoilt.len(),
            curing: self.cure(spoilt_before, end),
        })
    }
}
