//! Follows one lane for one generation: check, fold, pass on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use foldline_event_log::{FollowError, Place};
use foldline_kernel::{Checkpoint, Lane, Position, UserId};
use foldline_read_model::{FoldError, Model};
use foldline_schema::Event;
use rustc_hash::FxHashSet;
use tokio::sync::mpsc;

use crate::{
    backoff::Backoff,
    chunk::{self, Blame, Chunk},
    live::Live,
    order,
    parts::Shared,
    readers::ReaderNumber,
    source::{Heard, LaneSource},
    tamper,
};

/// How many events are folded before other tasks of the worker get their turn.
const TURN_EVENTS: usize = 64;

/// What a lane passes on.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Some of its events.
    Chunk(Chunk),
    /// It is corrupt and yields nothing more; other lanes go on.
    LaneStopped(Lane, String),
    /// No lane can go on.
    ModelStopped(String),
}

/// A reader of one lane.
pub(crate) struct LaneReader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: Arc<Live>,
    pub(crate) model: Arc<Model>,
    pub(crate) lane: Lane,
    /// The place after the last chunk that was passed on.
    pub(crate) at: Checkpoint,
    /// The lane's users who are held back; a user has one lane, so no other reader parks them.
    pub(crate) parked: FxHashSet<UserId>,
    /// How many events a chunk may have now.
    pub(crate) pace: Arc<AtomicUsize>,
    pub(crate) number: ReaderNumber,
    pub(crate) out: mpsc::Sender<(ReaderNumber, Arrival)>,
}

/// Why a reader stopped.
enum End {
    /// Nobody listens any more.
    Unheard,
    Unavailable(Box<FollowError>),
    LaneStopped(String),
    ModelStopped(String),
}

impl std::convert::From<FollowError> for End {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Unavailable { .. } => Self::Unavailable(Box::new(error)),
            FollowError::Corrupt { .. } => Self::LaneStopped(error.to_string()),
        }
    }
}

impl LaneReader {
    /// Reads until the lane or its listener ends.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::up_to(self.shared.settings.retry_max);
        loop {
            let Err(end) = self.read(&mut backoff).await;
            match end {
                End::Unheard => return,
                End::LaneStopped(reason) => {
                    return self.last(Arrival::LaneStopped(self.lane, reason)).await;
                }
                End::ModelStopped(reason) => {
                    return self.last(Arrival::ModelStopped(reason)).await;
                }
                End::Unavailable(error) => {
                    tracing::warn!(
                        view = self.model.name.as_ref(),
                        error = error.as_ref() as &dyn std::error::Error,
                        "the log cannot be read; trying again"
                    );
                    backoff.pause().await;
                }
            }
        }
    }

    /// Whether anybody listens makes no difference any more.
    async fn last(&self, arrival: Arrival) {
        let _ = self.out.send((self.number, arrival)).await;
    }

    async fn read(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, End> {
        let live = Arc::clone(&self.live);
        let mut source = LaneSource::open(&self.shared, live, &self.model, &self.at).await?;
        loop {
            let limit = self.pace.load(Ordering::Relaxed);
            let heard = source.next(limit).await?;
            backoff.reset();
            let events = match heard {
                Heard::Events(events) => events,
                Heard::Nothing(at) => {
                    self.at = at;
                    self.pass_on(Chunk::after(self.at.clone(), 0)).await?;
                    continue;
                }
            };
            let mut chunk = Chunk::after(self.at.clone(), events.len());
            let ended = self.fill(&mut chunk, &events, source.checkpoint()).await;
            if ended.is_ok() {
                // It also knows the adapter's own cursor.
                chunk.checkpoint.clone_from(source.checkpoint());
            } else {
                for event in events.iter().take(chunk.events) {
                    let at = &mut chunk.checkpoint;
                    at.advance(&event.context, event.sequence, event.lane_sequence);
                }
            }
            self.at = chunk.checkpoint.clone();
            if chunk.events > 0 {
                self.pass_on(chunk).await?;
            }
            ended?;
        }
    }

    async fn pass_on(&self, chunk: Chunk) -> Result<(), End> {
        let sent = self.out.send((self.number, Arrival::Chunk(chunk))).await;
        sent.map_err(|_| End::Unheard)
    }

    /// Checks and folds events, up to the first at which the lane or the model stops.
    async fn fill(
        &mut self,
        chunk: &mut Chunk,
        events: &[Arc<Event>],
        yielded: &Checkpoint,
    ) -> Result<(), End> {
        let (sound, ended) = self.check(events, yielded);
        for turn in tamper::with(self.lane, &events[..sound]).chunks(TURN_EVENTS) {
            for event in turn {
                self.take(chunk, event)?;
            }
            tokio::task::yield_now().await;
        }
        ended
    }

    /// Counts the events that follow each other and the place of this reader; they must reach
    /// the place up to which the log says it has yielded.
    fn check(&self, events: &[Arc<Event>], yielded: &Checkpoint) -> (usize, Result<(), End>) {
        if self.shared.settings.trust_input {
            return (events.len(), Ok(()));
        }
        let whole_lane = self.model.follows_lanes();
        let mut at = self.at.clone();
        for (sound, event) in events.iter().enumerate() {
            if let Err(corruption) = order::follows(&at, event, whole_lane) {
                return (sound, Err(self.corrupt(event, corruption)));
            }
            at.advance(&event.context, event.sequence, event.lane_sequence);
        }
        let reached = order::reached(&at, yielded).map_err(|corruption| {
            End::from(FollowError::Corrupt {
                lane: self.lane,
                place: Place::LaneSequence(at.lane_sequence.next()),
                corruption,
            })
        });
        (events.len(), reached)
    }

    fn take(&mut self, chunk: &mut Chunk, event: &Arc<Event>) -> Result<(), End> {
        if !self.parked.is_empty() && self.parked.contains(&event.subject) {
            chunk.passes(event);
            return Ok(());
        }
        let before = chunk.changes.len();
        match chunk::fold(&self.model, &self.shared.catalog, event, &mut chunk.changes) {
            Ok(()) => {
                chunk.passes(event);
                let done = chunk.changes[before..].iter();
                chunk.bytes += done.map(|(_, change)| change.heap_bytes()).sum::<usize>();
            }
            Err(FoldError::Unfit(reason)) => {
                self.parked.insert(event.subject);
                chunk.passes(event);
                let parked = Blame::of(event, self.lane).parks(reason);
                chunk.parked.push(parked);
            }
            Err(FoldError::UnknownType(unknown)) => {
                let reason = chunk::unknown(&unknown, &self.position(event));
                return Err(End::ModelStopped(reason));
            }
        }
        Ok(())
    }

    fn corrupt(&self, event: &Event, corruption: foldline_event_log::Corruption) -> End {
        End::from(FollowError::Corrupt {
            lane: self.lane,
            place: Place::Position(self.position(event), event.lane_sequence),
            corruption,
        })
    }

    fn position(&self, event: &Event) -> Position {
        Blame::of(event, self.lane).position
    }
}
