//! What is known at any moment of one generation that this process follows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use foldline_event_log::Heads;
use foldline_kernel::{Checkpoint, Lane};
use foldline_read_model::{Model, Revision};
use foldline_schema::Event;
use foldline_tables::{
    Absorbed, Generation, GenerationNumber, GenerationState, Parked, TableError, TableReader,
    Tables,
};
use tokio::sync::{OnceCell, watch};

use crate::{
    Doing,
    feeds::{self, Checkpoints, Ends, Feeds},
    lag::Lag,
};

/// A generation as its follower leaves it; read by status, switches and verification.
pub(crate) struct Live {
    pub(crate) number: GenerationNumber,
    pub(crate) revision: Revision,
    /// Its own definition and the contexts that feed it; none where it cannot be followed.
    pub(crate) follows: Option<(Arc<Model>, Feeds)>,
    /// Held while a commit runs; whoever else holds it holds the commits back.
    pub(crate) gate: Arc<tokio::sync::Mutex<()>>,
    now: Mutex<Now>,
    moved: watch::Sender<u64>,
    /// The same for the read model as a whole.
    view_moved: watch::Sender<u64>,
    /// Opened when it is first counted; it goes with the generation.
    reader: OnceCell<Arc<dyn TableReader>>,
}

#[derive(Debug)]
struct Now {
    state: GenerationState,
    doing: Doing,
    trouble: Option<String>,
    /// The lanes that are followed here; others may follow the rest.
    lanes: BTreeSet<Lane>,
    checkpoints: Checkpoints,
    /// Whether the store has said what is absorbed; before that everything seems to be missing.
    is_known: bool,
    parked: Vec<Parked>,
    stopped_lanes: Vec<(Lane, String)>,
    stepped_down: u64,
    lag: Lag,
}

/// A copy of what is known, taken at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) state: GenerationState,
    pub(crate) doing: Doing,
    pub(crate) trouble: Option<String>,
    pub(crate) lanes: BTreeSet<Lane>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) parked: Vec<Parked>,
    pub(crate) stopped_lanes: Vec<(Lane, String)>,
    pub(crate) stepped_down: u64,
}

impl Live {
    pub(crate) fn new(
        generation: &Generation,
        follows: Option<(Arc<Model>, Feeds)>,
        view_moved: watch::Sender<u64>,
    ) -> Self {
        Self {
            number: generation.number,
            revision: generation.revision.clone(),
            follows,
            gate: Arc::default(),
            now: Mutex::new(Now {
                state: generation.state,
                doing: Doing::Starting,
                trouble: None,
                lanes: BTreeSet::new(),
                checkpoints: Checkpoints::new(),
                is_known: false,
                parked: Vec::new(),
                stopped_lanes: Vec::new(),
                stepped_down: 0,
                lag: Lag::default(),
            }),
            moved: watch::channel(0).0,
            view_moved,
            reader: OnceCell::new(),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        let now = self.now();
        Seen {
            state: now.state,
            doing: now.doing,
            trouble: now.trouble.clone(),
            lanes: now.lanes.clone(),
            checkpoints: now.checkpoints.clone(),
            parked: now.parked.clone(),
            stopped_lanes: now.stopped_lanes.clone(),
            stepped_down: now.stepped_down,
        }
    }

    /// Returns what wakes whenever anything is different.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    pub(crate) fn state(&self) -> GenerationState {
        self.now().state
    }

    pub(crate) fn doing(&self) -> Doing {
        self.now().doing
    }

    /// Returns what is in the way of the whole generation, or of some lane.
    pub(crate) fn trouble(&self) -> Option<String> {
        let now = self.now();
        let lane = now.stopped_lanes.first();
        let lane = lane.map(|(lane, reason)| format!("lane {lane} has stopped: {reason}"));
        now.trouble.clone().or(lane)
    }

    pub(crate) fn parked(&self) -> usize {
        self.now().parked.len()
    }

    /// Takes over what the registry says, and tells whether that is news.
    pub(crate) fn set_state(&self, state: GenerationState) -> bool {
        let news = self.state() != state;
        if news {
            self.change(|now| now.state = state);
        }
        news
    }

    pub(crate) fn set_doing(&self, doing: Doing) {
        self.change(|now| {
            now.doing = doing;
            now.trouble = None;
        });
    }

    /// It goes on by itself, but something is in its way.
    pub(crate) fn retries(&self, trouble: String) {
        self.change(|now| {
            now.doing = Doing::Retrying;
            now.trouble = Some(trouble);
        });
    }

    /// It does not go on by itself.
    pub(crate) fn stops(&self, reason: String) {
        self.change(|now| {
            now.doing = Doing::Stopped;
            now.trouble = Some(reason);
        });
    }

    pub(crate) fn steps_down(&self) {
        self.change(|now| {
            now.doing = Doing::StandingBy;
            now.stepped_down += 1;
        });
    }

    pub(crate) fn lane_stops(&self, lane: Lane, reason: String) {
        self.change(|now| now.stopped_lanes.push((lane, reason)));
    }

    /// Takes over what a store says; lanes that had stopped are tried anew.
    pub(crate) fn starts_from(&self, absorbed: &Absorbed) {
        self.change(|now| {
            let by_lane = |checkpoint: &Checkpoint| (checkpoint.lane, checkpoint.clone());
            now.checkpoints = absorbed.checkpoints.iter().map(by_lane).collect();
            absorbed
                .checkpoints
                .iter()
                .for_each(|at| now.lag.absorbs(at));
            now.is_known = true;
            now.parked.clone_from(&absorbed.parked);
            now.stopped_lanes.clear();
        });
    }

    /// Notes which lanes are followed here.
    pub(crate) fn follows_lanes(&self, lanes: BTreeSet<Lane>) {
        self.change(|now| now.lanes = lanes);
    }

    /// Notes that lanes go to others, whom what stopped here may not stop.
    pub(crate) fn lets_go(&self, lanes: &BTreeSet<Lane>) {
        self.change(|now| {
            now.lanes.retain(|lane| !lanes.contains(lane));
            now.stopped_lanes.retain(|(lane, _)| !lanes.contains(lane));
        });
    }

    /// Reads what is absorbed from the store, whoever has absorbed it.
    pub(crate) async fn read(&self, tables: &dyn Tables) -> Result<Absorbed, TableError> {
        let Some((model, _)) = &self.follows else {
            return Ok(Absorbed::default());
        };
        let open = || tables.reader(model, self.number);
        self.reader.get_or_try_init(open).await?.absorbed().await
    }

    /// Takes over how far lanes are that are not followed here, and tells whether that is news.
    pub(crate) fn others_absorbed(&self, absorbed: &Absorbed) -> bool {
        let mut now = self.now();
        let Now {
            lanes,
            checkpoints,
            parked,
            lag,
            is_known,
            ..
        } = &mut *now;
        let mut news = !std::mem::replace(is_known, true);
        for at in &absorbed.checkpoints {
            let known = checkpoints.get(&at.lane).map(|known| known.lane_sequence);
            if !lanes.contains(&at.lane) && known < Some(at.lane_sequence) {
                lag.absorbs(at);
                checkpoints.insert(at.lane, at.clone());
                news = true;
            }
        }
        for more in &absorbed.parked {
            if !lanes.contains(&more.lane) && !parked.contains(more) {
                parked.push(more.clone());
                news = true;
            }
        }
        drop(now);
        if news {
            self.change(|_| {});
        }
        news
    }

    /// Notes that events have been read, which are absorbed later.
    pub(crate) fn reads(&self, lane: Lane, events: &[Arc<Event>]) {
        if let Some((model, _)) = &self.follows {
            self.now().lag.reads(lane, events, &model.source);
        }
    }

    /// Moves on after a commit.
    pub(crate) fn absorbed(&self, checkpoints: Vec<Checkpoint>, parked: Vec<Parked>) {
        self.change(|now| {
            for checkpoint in checkpoints {
                now.lag.absorbs(&checkpoint);
                now.checkpoints.insert(checkpoint.lane, checkpoint);
            }
            now.parked.extend(parked);
        });
    }

    /// Counts the events that are missing up to the given ends; all that there are where the
    /// generation cannot be followed.
    pub(crate) fn behind(&self, ends: &[Heads]) -> u64 {
        match &self.follows {
            Some((_, feeds)) => feeds.behind(ends, &self.now().checkpoints),
            None => feeds::all(ends),
        }
    }

    /// Tells whether the store has said what is absorbed.
    pub(crate) fn is_known(&self) -> bool {
        self.now().is_known
    }

    /// Counts the events of its contexts that have been absorbed.
    pub(crate) fn absorbed_events(&self) -> u64 {
        let Some((model, _)) = &self.follows else {
            return 0;
        };
        let now = self.now();
        let sequences = now.checkpoints.values().flat_map(|at| &at.sequences);
        let fed = sequences.filter(|(context, _)| model.source.contains(context));
        fed.map(|(_, sequence)| sequence.0).sum()
    }

    /// Counts the rows that show, if they can be read now.
    pub(crate) async fn count(&self, tables: &dyn Tables) -> Option<u64> {
        self.reader(tables).await?.count().await.ok()
    }

    /// Returns how many rows show and how many bytes they take, as far as that can be had.
    pub(crate) async fn size(&self, tables: &dyn Tables) -> (Option<u64>, Option<u64>) {
        let Some(reader) = self.reader(tables).await else {
            return (None, None);
        };
        (
            reader.count().await.ok(),
            reader.bytes().await.ok().flatten(),
        )
    }

    async fn reader(&self, tables: &dyn Tables) -> Option<&Arc<dyn TableReader>> {
        let (model, _) = self.follows.as_ref()?;
        let open = || tables.reader(model, self.number);
        self.reader.get_or_try_init(open).await.ok()
    }

    /// Takes a sample of the lag; none where it is not known.
    pub(crate) fn lag(&self, ends: &Ends) -> Option<Duration> {
        let (_, feeds) = self.follows.as_ref()?;
        let mut now = self.now();
        let Now {
            lag, checkpoints, ..
        } = &mut *now;
        lag.sample(Instant::now(), feeds, ends, checkpoints)
    }

    /// Tells whether everything is absorbed that another generation has absorbed.
    pub(crate) fn not_behind(&self, other: &Absorbed, source: &[foldline_kernel::Context]) -> bool {
        let Some((_, feeds)) = &self.follows else {
            return false;
        };
        feeds.not_behind(&self.now().checkpoints, &other.checkpoints, source)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now());
        self.moved.send_modify(|moves| *moves += 1);
        self.view_moved.send_modify(|moves| *moves += 1);
    }

    /// No code under the lock can panic half way, so a poisoned lock still holds whole values.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("number", &self.number)
            .field("revision", &self.revision)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
