//! How old the oldest event is that a generation has not absorbed.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant, SystemTime},
};

use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence};
use foldline_schema::Event;

use crate::feeds::{Checkpoints, Ends, Feeds};

/// Measures lag from what is known of the oldest event that is missing.
///
/// In a lane whose reader has come to it, that event itself says when it was made. Elsewhere
/// *goals* do: the end of the log as of some moment; once a generation has reached it, it holds
/// everything that the log held at that moment. Where neither is known, as in the first moments
/// after a start, the lag is not known, and no number stands for that.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// The latest moment of which everything is known to be absorbed.
    fresh_as_of: Option<Instant>,
    goal: Option<(Instant, Ends)>,
    /// What readers have read and no commit has absorbed: as much as a pipeline holds at once.
    read: BTreeMap<Lane, VecDeque<Read>>,
}

/// Some events that lie side by side in a lane.
#[derive(Debug)]
struct Read {
    last: LaneSequence,
    /// The age of the first of them, and when that was its age.
    age: Duration,
    at: Instant,
}

impl Lag {
    /// Notes that events have been read in a lane, of which some contexts count.
    pub(crate) fn reads(&mut self, lane: Lane, events: &[impl AsRef<Event>], source: &[Context]) {
        let mut fed = events
            .iter()
            .map(AsRef::as_ref)
            .filter(|event| source.contains(&event.context));
        let Some(first) = fed.next() else { return };
        let last = fed.next_back().unwrap_or(first).lane_sequence;
        let read = self.read.entry(lane).or_default();
        // What is read again, after a failure, is known already.
        if read.back().is_none_or(|known| known.last < last) {
            read.push_back(Read {
                last,
                age: age(first),
                at: Instant::now(),
            });
        }
    }

    /// Forgets what a lane has absorbed since.
    pub(crate) fn absorbs(&mut self, at: &Checkpoint) {
        if let Some(read) = self.read.get_mut(&at.lane) {
            while read
                .pop_front_if(|read| read.last <= at.lane_sequence)
                .is_some()
            {}
        }
    }

    /// Takes a sample and returns the lag: zero where nothing is missing, none where it is not
    /// known how old the oldest missing event is.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        feeds: &Feeds,
        ends: &Ends,
        at: &Checkpoints,
    ) -> Option<Duration> {
        if feeds.behind(ends, at) == 0 {
            self.fresh_as_of = Some(now);
            self.goal = None;
            return Some(Duration::ZERO);
        }
        match &self.goal {
            Some((moment, goal)) if feeds.behind(goal, at) == 0 => {
                self.fresh_as_of = Some(*moment);
                self.goal = Some((now, ends.clone()));
            }
            Some(_) => {}
            None => self.goal = Some((now, ends.clone())),
        }
        let fresh = self
            .fresh_as_of
            .map(|moment| now.saturating_duration_since(moment));
        let of_lane = |lane| {
            let read = self.read.get(&lane).and_then(VecDeque::front);
            let read = read.map(|read| now.saturating_duration_since(read.at) + read.age);
            fresh.into_iter().chain(read).min()
        };
        feeds
            .lanes_behind(ends, at)
            .map(of_lane)
            .try_fold(Duration::ZERO, |most, lag| lag.map(|lag| most.max(lag)))
    }
}

/// Returns how long ago an event was made: by its id, which is of that moment (UUID v7) also
/// where `time` is of long ago, as in history that was imported.
fn age(event: &Event) -> Duration {
    let made = match event.id.0.get_timestamp() {
        Some(made) => {
            let (seconds, nanos) = made.to_unix();
            Duration::new(seconds, nanos)
        }
        None => Duration::from_micros(u64::try_from(event.time.micros()).unwrap_or_default()),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().saturating_sub(made)
}
