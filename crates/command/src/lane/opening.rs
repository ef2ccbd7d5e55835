//! Taking a lane over: fence, load snapshots, read to the end.

use std::time::{Duration, Instant};

use foldline_event_log::{Announcement, FollowError, From, LaneWriter, OpenWriterError};
use foldline_kernel::LaneSequence;

use super::{LaneTask, STOPPING, Submitted, curing::Curing};
use crate::{
    CommandError,
    owned::LaneHealth,
    user::{self, Users},
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
    /// How many events had to be read because no snapshot holds them.
    pub(super) replayed: usize,
    /// The users whose saved states were spoilt, being read again.
    pub(super) curing: Curing,
}

enum OpenError {
    /// Worth another try.
    Unavailable(String),
    /// The lane stays closed until somebody has looked.
    Corrupt(String),
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
        let (replay_after, mut users) = self.load_snapshots(end).await;
        let spoilt = users.by_id.iter();
        let spoilt = spoilt.filter(|(_, user)| user.quarantine.is_some());
        let spoilt: Vec<_> = spoilt.map(|(id, _)| *id).collect();
        self.replay(&mut users, replay_after, end, remembered_max)
            .await
            .map_err(|error| match error {
                FollowError::Unavailable { ref source, .. } => {
                    OpenError::Unavailable(format!("{error}: {source}"))
                }
                FollowError::Corrupt { .. } => OpenError::Corrupt(error.to_string()),
            })?;
        Ok(Opened {
            writer,
            users,
            replayed: usize::try_from(end.0 - replay_after.0).unwrap_or(usize::MAX),
            curing: self.cure(spoilt, end),
        })
    }

    /// Loads every user's snapshot; without usable ones the lane is read from its beginning.
    async fn load_snapshots(&self, end: LaneSequence) -> (LaneSequence, Users) {
        let nothing = || (LaneSequence::ZERO, Users::default());
        let Some(store) = &self.snapshots else {
            return nothing();
        };
        let log_id = self.log.topology().log_id;
        let (marker, snapshots) = match store.load(self.lane, log_id).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return nothing(),
            Err(error) => {
                tracing::warn!(lane = %self.lane, %error, "snapshots unreadable, reading the log");
                return nothing();
            }
        };
        // Snapshots are derived state: ones that claim more than the log holds are worthless.
        if marker > end {
            tracing::error!(lane = %self.lane, %marker, %end, "snapshots beyond the log dropped");
            return nothing();
        }
        let mut users = Users::default();
        for snapshot in snapshots {
            let Some(user) = user::load(&snapshot.state, &self.contexts) else {
                tracing::info!(lane = %self.lane, "snapshots of older rules, folding anew");
                return nothing();
            };
            users.by_id.insert(snapshot.user, user);
        }
        (marker, users)
    }

    async fn replay(
        &self,
        users: &mut Users,
        after: LaneSequence,
        end: LaneSequence,
        remembered_max: usize,
    ) -> Result<(), FollowError> {
        if after == end {
            return Ok(());
        }
        let topology = self.log.topology();
        let mut follower = self
            .log
            .follow_lane(self.lane, From::LaneSequence(after.next()))
            .await?;
        while follower.checkpoint().lane_sequence < end {
            for event in follower.next_batch(READ_EVENTS).await? {
                // The log was opened with every context of the binary, and the binary has every
                // context of the log; an event of a third one cannot be.
                let Some(context) = self.contexts.find(&event.context) else {
                    tracing::error!(context = %event.context, log = %topology.log_id, "unknown context");
                    continue;
                };
                let user = users.by_id.entry(event.subject).or_default();
                user.fold(
                    context,
                    &event,
                    &self.contexts,
                    self.contexts.catalog(),
                    remembered_max,
                );
            }
        }
        Ok(())
    }
}
