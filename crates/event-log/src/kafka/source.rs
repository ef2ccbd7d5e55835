//! Where a follower's events come from: from memory at the lane's end, behind it from a stream of
//! its own.

use std::{sync::Arc, time::Duration};

use foldline_kernel::{Lane, LaneSequence};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    ends,
    shared::Shared,
    stream::{self, Begin, CHUNK_EVENTS_MAX, Chunk, Item, Stop},
    tail::{LaneTail, Read},
};
use crate::FollowError;

/// How many events a stream brings before it makes room for somebody who waits for a turn.
const TURN_EVENTS_MAX: usize = 200_000;

/// How long a stream may have nothing before its lane's end is looked for again.
const IDLE: Duration = Duration::from_millis(500);

/// How far a follower has come.
#[derive(Clone, Debug)]
pub(crate) struct At {
    /// How far the lane has been looked through.
    pub(crate) scanned: LaneSequence,
    /// Per context where to go on reading, where it is followed.
    pub(crate) begins: Vec<Option<Begin>>,
}

impl At {
    fn followed(&self) -> impl Iterator<Item = (usize, Begin)> {
        let begins = self.begins.iter().enumerate();
        begins.filter_map(|(context, begin)| Some((context, (*begin)?)))
    }
}

/// What came next.
pub(crate) enum Next {
    /// Events, and how far the lane has been looked through with them.
    Events(Vec<Item>, Option<LaneSequence>),
    /// Nothing that is wanted lies before this place.
    Passed(LaneSequence),
    /// Why nothing more will come, after these events.
    Stopped(Vec<Item>, Stop),
    /// Ask again.
    Again,
    /// Nothing came in the time that was given.
    Nothing,
}

pub(crate) struct Source {
    shared: Arc<Shared>,
    lane: Lane,
    only: Option<usize>,
    tail: Option<Tail>,
    catching_up: Option<CatchingUp>,
    /// A turn to read for oneself; a task of its own, so that waiting in line outlives a future
    /// that is dropped.
    turn: Option<JoinHandle<OwnedSemaphorePermit>>,
    joining: Option<JoinHandle<Result<Arc<LaneTail>, FollowError>>>,
}

struct Tail {
    tail: Arc<LaneTail>,
    /// Whether everything before what it keeps has been seen.
    joined: bool,
    reached: watch::Receiver<LaneSequence>,
}

/// A stream of one's own.
struct CatchingUp {
    chunks: mpsc::Receiver<Chunk>,
    events: usize,
    /// Given back as soon as there is nothing to catch up with.
    turn: Option<OwnedSemaphorePermit>,
}

impl Tail {
    fn new(tail: Arc<LaneTail>) -> Self {
        let reached = tail.watch();
        Self {
            tail,
            joined: false,
            reached,
        }
    }
}

impl Source {
    pub(crate) fn new(
        shared: Arc<Shared>,
        lane: Lane,
        only: Option<usize>,
        tail: Option<Arc<LaneTail>>,
    ) -> Self {
        Self {
            shared,
            lane,
            only,
            tail: tail.map(Tail::new),
            catching_up: None,
            turn: None,
            joining: None,
        }
    }

    /// Stops whatever is being read.
    pub(crate) fn stop(&mut self) {
        self.catching_up = None;
        self.tail = None;
        if let Some(turn) = self.turn.take() {
            turn.abort();
        }
    }

    /// Waits for what comes next, for as long as it takes unless a time is given.
    ///
    /// Cancel-safe: every await leaves the source whole.
    pub(crate) async fn next(&mut self, at: &At, patience: Option<Duration>) -> Next {
        if let Some(joining) = &mut self.joining {
            let joined = joining.await;
            self.joining = None;
            return self
                .joined(joined.unwrap_or_else(|gone| Err(Shared::unavailable(self.lane, gone))));
        }
        if self.catching_up.is_some() {
            return match self.joins_tail(at) {
                Some(place) => Next::Passed(place),
                None => self.behind_tail(patience).await,
            };
        }
        self.at_tail(at, patience).await
    }

    fn joined(&mut self, joined: Result<Arc<LaneTail>, FollowError>) -> Next {
        match joined {
            Ok(tail) => {
                self.tail = Some(Tail::new(tail));
                Next::Again
            }
            Err(error) => Next::Stopped(Vec::new(), Stop::from(error)),
        }
    }

    /// Goes on at the tail, if everything before what it keeps has been seen.
    fn joins_tail(&mut self, at: &At) -> Option<LaneSequence> {
        let tail = self.tail.as_mut()?;
        let offsets = at
            .followed()
            .map(|(context, begin)| (context, begin.offset));
        let begin = tail.tail.joined_by(offsets)?;
        tail.joined = true;
        self.catching_up = None;
        Some(begin.max(at.scanned))
    }

    async fn at_tail(&mut self, at: &At, patience: Option<Duration>) -> Next {
        let Some(Tail {
            tail,
            joined,
            reached,
        }) = &mut self.tail
        else {
            self.join();
            return Next::Again;
        };
        if !*joined {
            return match self.joins_tail(at) {
                Some(place) => Next::Passed(place),
                None => self.catch_up(at).await,
            };
        }
        // Marked as seen before the tail is read, so a move in between wakes.
        reached.mark_unchanged();
        match tail.read(at.scanned, self.only, CHUNK_EVENTS_MAX) {
            Read::Events(items, scanned) => Next::Events(items, Some(scanned)),
            Read::Nothing => {
                let moved = reached.changed();
                let moved = match patience {
                    Some(patience) => timeout(patience, moved).await,
                    None => Ok(moved.await),
                };
                match moved {
                    Ok(_) => Next::Again,
                    Err(_) => Next::Nothing,
                }
            }
            Read::Ended => {
                self.tail = None;
                Next::Again
            }
            Read::Behind => {
                *joined = false;
                Next::Again
            }
        }
    }

    /// Finds the lane's end and has the feed read from there on.
    fn join(&mut self) {
        let lane = self.lane;
        self.joining = Some(self.shared.look(lane, move |shared| {
            let end = ends::find(shared, lane)?;
            shared
                .feed
                .join(shared, lane, end)
                .map_err(|source| Shared::unavailable(lane, source))
        }));
    }

    /// Starts to read what was missed, when it is its turn.
    async fn catch_up(&mut self, at: &At) -> Next {
        let turns = &self.shared.catching_up;
        let turn = self.turn.get_or_insert_with(|| {
            let turns = Arc::clone(turns);
            tokio::spawn(async move { turns.acquire_owned().await.expect("it is never closed") })
        });
        let turn = turn.await;
        self.turn = None;
        let Ok(turn) = turn else {
            return Next::Again;
        };
        let from = stream::From {
            lane: self.lane,
            begins: at.followed().collect(),
            whole: self.only.is_none(),
            after: at.scanned,
        };
        match stream::start(Arc::clone(&self.shared), from) {
            Ok(chunks) => {
                self.catching_up = Some(CatchingUp {
                    chunks,
                    events: 0,
                    turn: Some(turn),
                });
                Next::Again
            }
            Err(source) => Next::Stopped(Vec::new(), Stop::Unavailable(source)),
        }
    }

    async fn behind_tail(&mut self, patience: Option<Duration>) -> Next {
        let Some(stream) = &mut self.catching_up else {
            return Next::Again;
        };

        let chunk = match timeout(patience.unwrap_or(IDLE), stream.chunks.recv()).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                self.catching_up = None;
                let gone = "the reading thread has ended".into();
                return Next::Stopped(Vec::new(), Stop::Unavailable(gone));
            }
            Err(_) if patience.is_some() => return Next::Nothing,
            Err(_) => {
                // Nothing more to catch up with, and the tail begins later: look for the end.
                stream.turn = None;
                self.join();
                return Next::Again;
            }
        };
        stream.events += chunk.items.len();
        let others_wait = self.shared.catching_up.available_permits() == 0;
        let turn_is_over = stream.events >= TURN_EVENTS_MAX && others_wait;
        if turn_is_over || chunk.stopped.is_some() {
            self.catching_up = None;
        }
        match chunk.stopped {
            Some(stop) => Next::Stopped(chunk.items, stop),
            None => Next::Events(chunk.items, None),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}
