//! What one lane has for one generation, and what is learnt of it on the way.
//!
//! A model of one context follows that context's partition. Where nothing comes for it, its place
//! in the lane would stay behind, and each start would look through the same foreign events
//! again. So reading begins at the lane's end where the ends say that nothing is missing, and the
//! place moves on while nothing comes, by a good stretch at a time:
//!
//! ```text
//!   lane 3        a  b  b  b  b  b  b  b  b  b            a: of the model's context
//!   yielded       └ 1                                     b: of another one
//!   passed                       └ 7       └ 10
//! ```

use std::sync::Arc;

use foldline_event_log::{FollowError, Follower, From, Heads};
use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence};
use foldline_read_model::Model;
use foldline_schema::Event;
use tokio::time::{Duration, Interval, MissedTickBehavior, interval};

use crate::{live::Live, parts::Shared, settings::Settings};

/// An interval of nothing is none.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// What comes next in a lane.
pub(crate) enum Heard {
    /// Events; [`LaneSource::checkpoint`] is the place after them.
    Events(Vec<Arc<Event>>),
    /// Nothing for this model, up to a place that is well beyond the last one told.
    Nothing(Checkpoint),
}

/// A follower of one lane, or of the one context in it that matters.
pub(crate) struct LaneSource {
    live: Arc<Live>,
    lane: Lane,
    follower: Box<dyn Follower>,
    idle: Option<Idle>,
}

/// What moves the place on where nothing comes.
struct Idle {
    context: Context,
    /// The context's place in [`Heads::sequences`].
    index: usize,
    looks: Interval,
    /// How far a place must have moved to be worth a commit.
    events_min: u64,
    /// The last place that was passed on.
    told: LaneSequence,
}

impl LaneSource {
    /// Follows a lane after a place.
    pub(crate) async fn open(
        shared: &Shared,
        live: Arc<Live>,
        model: &Model,
        at: &Checkpoint,
    ) -> Result<Self, FollowError> {
        let (log, lane) = (&shared.log, at.lane);
        let idle = Idle::of(shared, model, at);
        let follower = match &idle {
            Some(idle) => {
                let end = log.heads(lane).await?;
                let at = idle.passes(at, &end).unwrap_or_else(|| at.clone());
                log.follow(&idle.context, lane, after(at)).await?
            }
            None => {
                let at = covering(at, &log.topology().contexts);
                log.follow_lane(lane, after(at)).await?
            }
        };
        Ok(Self {
            live,
            lane,
            follower,
            idle,
        })
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Heard, FollowError> {
        let Self { follower, idle, .. } = self;
        let events = match idle {
            None => follower.next_batch(limit).await?,
            Some(idle) => loop {
                tokio::select! {
                    biased;
                    events = follower.next_batch(limit) => {
                        idle.told = follower.checkpoint().lane_sequence;
                        break events?;
                    }
                    _ = idle.looks.tick() => {
                        if let Some(at) = idle.looked(follower.as_ref()) {
                            return Ok(Heard::Nothing(at));
                        }
                    }
                }
            },
        };
        self.live.reads(self.lane, &events);
        Ok(Heard::Events(events))
    }

    /// Returns the place after the last events.
    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        self.follower.checkpoint()
    }
}

impl Idle {
    /// A model of several contexts follows whole lanes, whose every event moves its place on.
    fn of(shared: &Shared, model: &Model, at: &Checkpoint) -> Option<Self> {
        let [context] = model.source.as_slice() else {
            return None;
        };
        let Settings {
            idle_look_every,
            idle_events_min,
            ..
        } = shared.settings;
        let mut looks = interval(idle_look_every.max(SHORTEST_LOOK));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self {
            context: context.clone(),
            index: shared.log.topology().index_of(context)?,
            looks,
            events_min: idle_events_min,
            told: at.lane_sequence,
        })
    }

    /// Moves a place to the end of the lane, where the context has nothing in between: its last
    /// sequence is the one absorbed already.
    fn passes(&self, at: &Checkpoint, end: &Heads) -> Option<Checkpoint> {
        let sequence = at.sequence(&self.context);
        let nothing = end.sequences.get(self.index) == Some(&sequence);
        let mut at = at.clone();
        (nothing && end.lane_sequence > at.lane_sequence).then(|| {
            at.advance(&self.context, sequence, end.lane_sequence);
            at
        })
    }

    fn looked(&mut self, follower: &dyn Follower) -> Option<Checkpoint> {
        let at = self.passes(follower.checkpoint(), &follower.heads());
        // A follower that began further on than the last place told has itself passed by.
        let at = at.unwrap_or_else(|| follower.checkpoint().clone());
        let moved = at.lane_sequence.0.saturating_sub(self.told.0);
        let worth = moved >= self.events_min.max(1);
        worth.then(|| {
            self.told = at.lane_sequence;
            at
        })
    }
}

/// A context that came to the log later has no event up to here.
fn covering(at: &Checkpoint, contexts: &[Context]) -> Checkpoint {
    let mut at = at.clone();
    for context in contexts {
        if at.sequences.iter().all(|(known, _)| known != context) {
            at.sequences.push((context.clone(), Default::default()));
        }
    }
    at
}

fn after(at: Checkpoint) -> From {
    match at.lane_sequence {
        LaneSequence::ZERO => From::Beginning,
        _ => From::After(at),
    }
}
