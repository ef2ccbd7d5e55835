//! Reading spoilt users again: whether the program that serves now can fold what another could not.

use foldline_event_log::{FollowError, From};
use foldline_kernel::{LaneSequence, UserId};
use rustc_hash::FxHashMap;
use tokio::task::JoinSet;

use super::{LaneTask, opening::READ_EVENTS};

use crate::user::User;

/// The reading, a task of its own beside the serving; it ends with the lane's.
pub(super) type Curing = JoinSet<Cured>;

/// Everybody who was read: well, or spoilt as the log says it.
pub(super) type Cured = FxHashMap<UserId, User>;

impl LaneTask {
    /// Reads the lane for these users, who are known to be spoilt, up to where they have events;
    /// the task gives what has become of them.
    ///
    /// Once per start and not again: the same program meets the same events. The lane serves
    /// meanwhile, so that one user does not hold up the start of all others.
    pub(super) fn cure(&self, spoilt: Vec<UserId>, end: LaneSequence) -> Curing {
        let mut curing = JoinSet::new();
        if spoilt.is_empty() {
            return curing;
        }
        let (log, lane, contexts) = (self.log.clone(), self.lane, self.contexts.clone());
        let remembered_max = self.settings.remembered_commands;
        let reading = async move {
            let fresh = spoilt.into_iter().map(|id| (id, User::default()));
            let mut users: Cured = fresh.collect();
            let mut follower = log.follow_lane(lane, From::Beginning).await?;
            while follower.checkpoint().lane_sequence < end {
                for event in follower.next_batch(READ_EVENTS).await? {
                    let (Some(user), Some(context)) =
                        (users.get_mut(&event.subject), contexts.find(&event.context))
                    else {
                        continue;
                    };
                    let catalog = contexts.catalog();
                    user.fold(context, &event, &contexts, catalog, remembered_max);
                }
            }
            Ok::<_, FollowError>(users)
        };
        curing.spawn(async move {
            reading.await.unwrap_or_else(|error| {
                tracing::warn!(%lane, %error, "quarantined users could not be read again");
                Cured::default()
            })
        });
        curing
    }
}
