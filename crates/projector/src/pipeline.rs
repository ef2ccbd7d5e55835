//! One attempt to follow: lanes that fold, batches that grow, one commit at a time.
//!
//! ```text
//!   lane 0 ─ check, fold ─┐
//!   lane 1 ─ check, fold ─┼─▶ assembly ──▶ commit ──▶ live, notice
//!   …                     ┘   grows while the commit before it is under way
//! ```

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldline_kernel::{Checkpoint, Lane, LaneSequence};
use foldline_read_model::{Change, RowKey};
use foldline_tables::{Absorbed, Batch, CommitError, GenerationState, Grain, Parked, TableWriter};
use rustc_hash::FxHashSet;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Duration, Instant},
};

use crate::{
    Doing,
    assembly::{Assembly, Sealed},
    backoff::Backoff,
    care::{self, Care},
    feeds,
    lane::{Arrival, LaneReader},
    projector::{End, Projector, told},
    stopping,
};

/// How many chunks of all lanes may wait to be put together.
const CHUNKS_WAITING_MAX: usize = 8;

pub(crate) struct Pipeline<'p> {
    projector: &'p Projector,
    care: &'p mut Care,
    pace: Arc<AtomicUsize>,
    arrivals: mpsc::Receiver<Arrival>,
    /// Ends with the pipeline, and the lanes' readers with it.
    lanes: JoinSet<()>,
    assembly: Assembly,
    /// The memory of the batch that was committed last.
    spare: Vec<(RowKey, Change)>,
    grain: Grain,
    /// The place in each lane that this writer last saw in the store.
    seen: BTreeMap<Lane, LaneSequence>,
    hand: Hand,
    /// How many users the commit that is under way holds back.
    parking: usize,
    loading: bool,
    /// Not before this is a batch committed that is not full.
    due: Instant,
    /// Set once no more is taken up; what has been is committed first.
    ending: Option<End>,
}

/// Where the writer is.
enum Hand {
    Free(Box<dyn TableWriter>),
    Busy(JoinHandle<Done>),
    /// While it changes hands, and after a commit that panicked.
    Empty,
}

/// A commit that has ended.
struct Done {
    writer: Box<dyn TableWriter>,
    sealed: Sealed,
    outcome: Result<(), CommitError>,
    took: Duration,
}

impl<'p> Pipeline<'p> {
    /// Starts the readers of all lanes after what has been absorbed.
    pub(crate) fn begin(
        projector: &'p Projector,
        writer: Box<dyn TableWriter>,
        absorbed: &Absorbed,
        care: &'p mut Care,
        loading: bool,
    ) -> Self {
        let settings = &projector.shared.settings;
        let pace = Arc::new(AtomicUsize::new(care.pace(settings)));
        let (out, arrivals) = mpsc::channel(CHUNKS_WAITING_MAX);
        let mut lanes = JoinSet::new();
        let topology = projector.shared.log.topology();
        for lane in topology.all_lanes() {
            let beginning = || Checkpoint::beginning(topology.log_id, lane);
            let of_lane = |parked: &&Parked| parked.lane == lane;
            let parked: FxHashSet<_> = absorbed
                .parked
                .iter()
                .filter(of_lane)
                .map(|parked| parked.user)
                .collect();
            let reader = LaneReader {
                shared: Arc::clone(&projector.shared),
                live: Arc::clone(&projector.live),
                model: Arc::clone(&projector.model),
                lane,
                at: absorbed.lane(lane).cloned().unwrap_or_else(beginning),
                parked,
                pace: Arc::clone(&pace),
                out: out.clone(),
            };
            lanes.spawn(reader.run());
        }
        let place = |at: &Checkpoint| (at.lane, at.lane_sequence);
        let grain = writer.grain();
        Self {
            projector,
            care,
            pace,
            arrivals,
            lanes,
            assembly: Assembly::within(Vec::new(), grain),
            spare: Vec::new(),
            grain,
            seen: absorbed.checkpoints.iter().map(place).collect(),
            hand: Hand::Free(writer),
            parking: 0,
            loading,
            due: Instant::now(),
            ending: None,
        }
    }

    /// Follows until it ends.
    pub(crate) async fn run(
        mut self,
        stop: &mut watch::Receiver<bool>,
        backoff: &mut Backoff,
    ) -> End {
        match self.turn(stop, backoff).await {
            Ok(never) => match never {},
            Err(end) => {
                // A commit that is under way has an outcome; the next attempt wants to know it, and
                // so does whoever looks at a generation that has stopped.
                if let Hand::Busy(commit) = std::mem::replace(&mut self.hand, Hand::Empty)
                    && let Ok(done) = commit.await
                    && done.outcome.is_ok()
                {
                    self.absorbed(done.sealed.batch, done.sealed.events);
                }
                end
            }
        }
    }

    async fn turn(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, End> {
        self.end_loading_when_near().await?;
        loop {
            tokio::select! {
                biased;
                () = stopping::asked(stop) => return Err(End::Asked),
                done = self.hand.done() => {
                    self.hand = Hand::Empty;
                    let done = done.map_err(|ended| End::Trouble(told(&ended)))?;
                    self.committed(done).await?;
                    backoff.reset();
                }
                arrival = self.arrivals.recv(), if self.takes_more() => self.arrived(arrival)?,
                Some(ended) = self.lanes.join_next() => {
                    if let Err(panic) = ended {
                        return Err(End::Stopped(format!("the reader of a lane {panic}")));
                    }
                }
                () = tokio::time::sleep_until(self.due), if self.waits() => {}
            }
            self.take_what_is_there()?;
            self.commit_when_due();
            if self.assembly.is_empty()
                && matches!(self.hand, Hand::Free(_))
                && let Some(end) = self.ending.take()
            {
                return Err(end);
            }
        }
    }

    fn takes_more(&self) -> bool {
        let limits = self
            .care
            .limits(&self.projector.shared.settings, self.loading);
        self.ending.is_none() && !self.assembly.is_full(limits)
    }

    /// Tells whether there is something to commit that is not due yet.
    fn waits(&self) -> bool {
        matches!(self.hand, Hand::Free(_)) && !self.assembly.is_empty()
    }

    fn take_what_is_there(&mut self) -> Result<(), End> {
        while self.takes_more()
            && let Ok(arrival) = self.arrivals.try_recv()
        {
            self.arrived(Some(arrival))?;
        }
        Ok(())
    }

    fn arrived(&mut self, arrival: Option<Arrival>) -> Result<(), End> {
        let settings = &self.projector.shared.settings;
        match arrival {
            Some(Arrival::Chunk(chunk)) => {
                if self.loading {
                    self.due = Instant::now() + settings.load_patience;
                }
                let events = self.assembly.events() + chunk.events;
                if self.assembly.add(&self.projector.model, chunk).is_err() {
                    self.care.overflowed(events);
                    return Err(End::Again);
                }
                self.bound_parked(self.assembly.parked())?;
            }
            Some(Arrival::LaneStopped(lane, reason)) => {
                tracing::error!(view = %self.projector.model.name,
                    generation = %self.projector.live.number, %lane, reason,
                    "a lane has stopped; the others go on");
                self.projector.live.lane_stops(lane, reason);
            }
            Some(Arrival::ModelStopped(reason)) => self.ending = Some(End::Stopped(reason)),
            // Every lane has stopped; there is nothing to do but to be stopped.
            None => self.ending = Some(End::Stopped("every lane has stopped".into())),
        }
        Ok(())
    }

    fn bound_parked(&self, more: usize) -> Result<(), End> {
        let most = self.projector.shared.settings.parked_max;
        if self.projector.live.parked() + self.parking + more > most {
            return Err(End::Stopped(format!(
                "more than {most} users would be held back; mend the definition and replay"
            )));
        }
        Ok(())
    }

    fn commit_when_due(&mut self) {
        let Hand::Free(_) = self.hand else { return };
        let now = !self.takes_more() || self.care.is_taken() || Instant::now() >= self.due;
        if self.assembly.is_empty() || !now {
            return;
        }
        let next = Assembly::within(std::mem::take(&mut self.spare), self.grain);
        let sealed = std::mem::replace(&mut self.assembly, next).seal(&self.seen);
        self.begin_commit(sealed);
    }

    fn begin_commit(&mut self, sealed: Sealed) {
        let Hand::Free(mut writer) = std::mem::replace(&mut self.hand, Hand::Empty) else {
            unreachable!("only a free hand begins a commit");
        };
        let gate = Arc::clone(&self.projector.live.gate);
        self.parking = sealed.batch.parked.len();
        // A task of its own: while it binds and waits, the next batch grows on another worker.
        self.hand = Hand::Busy(tokio::spawn(async move {
            let _passing = gate.lock_owned().await;
            let began = Instant::now();
            let outcome = writer.commit(&sealed.batch).await;
            Done {
                writer,
                sealed,
                outcome,
                took: began.elapsed(),
            }
        }));
    }

    async fn committed(&mut self, done: Done) -> Result<(), End> {
        self.hand = Hand::Free(done.writer);
        self.parking = 0;
        let settings = &self.projector.shared.settings;
        match done.outcome {
            Ok(()) => {
                self.absorbed(done.sealed.batch, done.sealed.events);
                self.care.succeeded(settings);
                self.pace.store(self.care.pace(settings), Ordering::Relaxed);
                if self.loading {
                    self.end_loading_when_near().await?;
                } else {
                    self.due = Instant::now() + (done.took * 2).min(settings.rest_max);
                }
                Ok(())
            }
            Err(CommitError::Fenced { .. }) => Err(End::Fenced),
            Err(CommitError::Overflow { overflow, .. }) => match done.sealed.sole {
                Some(blame) => {
                    let parked = blame.parks(overflow.to_string());
                    self.park(&done.sealed.batch, parked).await
                }
                None => {
                    self.care.overflowed(done.sealed.events);
                    Err(End::Again)
                }
            },
            Err(error @ (CommitError::Unknown { .. } | CommitError::Unavailable { .. })) => {
                Err(End::Trouble(told(&error)))
            }
        }
    }

    /// Holds a user back in place of the one event that failed, then starts over: the user's
    /// next events may have been folded already.
    async fn park(&mut self, batch: &Batch, parked: Parked) -> Result<(), End> {
        self.bound_parked(1)?;
        let Hand::Free(writer) = &mut self.hand else {
            unreachable!("the commit that failed has ended");
        };
        let batch = care::in_place_of(batch, parked);
        // As every commit: a switch that compares checkpoints holds them still meanwhile.
        let gate = Arc::clone(&self.projector.live.gate);
        let _passing = gate.lock_owned().await;
        match writer.commit(&batch).await {
            Ok(()) => {
                self.absorbed(batch, 1);
                self.care.succeeded(&self.projector.shared.settings);
                Err(End::Again)
            }
            Err(CommitError::Fenced { .. }) => Err(End::Fenced),
            Err(error) => Err(End::Trouble(told(&error))),
        }
    }

    fn absorbed(&mut self, batch: Batch, events: usize) {
        let Projector {
            shared,
            live,
            model,
            ..
        } = self.projector;
        for parked in &batch.parked {
            tracing::warn!(view = %model.name, generation = %live.number, user = %parked.user,
                position = %parked.position, reason = parked.reason,
                "an event cannot be applied; its user is held back in this read model");
        }
        let checkpoints: Vec<_> = batch.checkpoints.into_iter().map(|(_, at)| at).collect();
        for at in &checkpoints {
            self.seen.insert(at.lane, at.lane_sequence);
        }
        live.absorbed(checkpoints, batch.parked);
        if live.state() == GenerationState::Serving {
            (shared.notice)(&model.name);
        }
        self.spare = batch.rows;
        self.spare.clear();
        if !self.loading {
            // Loading took far larger batches; a generation that keeps up must not hold that.
            self.spare.shrink_to(shared.settings.batch_events_max);
        }
        let view = model.name.to_string();
        metrics::histogram!("foldline_view_batch_events", "view" => view.clone())
            .record(events as f64);
        metrics::counter!("foldline_view_events_total", "view" => view).increment(events as u64);
    }

    /// Ends the loading once little is missing, so that what comes after it is quick.
    async fn end_loading_when_near(&mut self) -> Result<(), End> {
        let Projector { shared, live, .. } = self.projector;
        if !self.loading {
            return Ok(());
        }
        let ends = feeds::ends(shared.log.as_ref()).await;
        let ends = ends.map_err(|error| End::Trouble(told(&error)))?;
        if live.behind(&ends) > shared.settings.near_events {
            return Ok(());
        }
        let Hand::Free(writer) = &mut self.hand else {
            return Ok(());
        };
        live.set_doing(Doing::Indexing);
        writer.finish_loading().await?;
        self.loading = false;
        self.due = Instant::now();
        live.set_doing(Doing::Following);
        Ok(())
    }
}

impl Hand {
    /// Waits for the commit that is under way; for ever where there is none.
    ///
    /// Cancel-safe: the commit is a task and its handle stays.
    async fn done(&mut self) -> Result<Done, tokio::task::JoinError> {
        match self {
            Self::Busy(commit) => commit.await,
            Self::Free(_) | Self::Empty => std::future::pending().await,
        }
    }
}
