//! One attempt to follow: lanes that fold, batches that grow, one commit at a time.
//!
//! ```text
//!   lane 0 ─ check, fold ─┐
//!   lane 1 ─ check, fold ─┼─▶ assembly ──▶ commit ──▶ live, notice
//!   …                     ┘   grows while the commit before it is under way
//! ```

mod lanes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use foldline_kernel::{Lane, LaneSequence};
use foldline_read_model::{Change, RowKey};
use foldline_tables::{Absorbed, Batch, CommitError, GenerationState, Grain, Parked, TableWriter};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    Doing,
    assembly::{Assembly, Sealed},
    backoff::Backoff,
    care::{self, Care},
    feeds,
    lane::Arrival,
    projector::{End, Projector, told},
    readers::Readers,
    share::Holding,
    standing_by::StandingBy,
    stopping,
};

pub(crate) struct Pipeline<'p> {
    projector: &'p Projector,
    care: &'p mut Care,
    standing_by: &'p mut StandingBy,
    readers: Readers,
    /// Lanes that are to be followed as soon as the store has said from where on.
    joining: BTreeSet<Lane>,
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
    /// How many events were missing when that was last looked at.
    missing: u64,
    /// Not before this is a batch committed that is not full.
    due: Instant,
    /// When it is looked next how far others have come.
    look_at: Instant,
    /// Set once no more is taken up; what has been is committed first.
    ending: Option<End>,
    /// Goes last: whoever waits for the lanes waits for all of this.
    holding: Holding,
}

/// What a pipeline begins with.
pub(crate) struct Begun {
    pub(crate) holding: Holding,
    /// The lanes that it holds.
    pub(crate) lanes: BTreeSet<Lane>,
    pub(crate) writer: Box<dyn TableWriter>,
    /// What had been absorbed when they were held already.
    pub(crate) absorbed: Absorbed,
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
    /// Starts the readers of this process's lanes after what has been absorbed.
    pub(crate) fn begin(
        projector: &'p Projector,
        begun: Begun,
        care: &'p mut Care,
        standing_by: &'p mut StandingBy,
        loading: bool,
    ) -> Self {
        let Begun {
            holding,
            lanes,
            writer,
            absorbed,
        } = begun;
        standing_by.keep(&lanes);
        let settings = &projector.shared.settings;
        let mut pipeline = Self {
            projector,
            readers: Readers::new(care.pace(settings)),
            care,
            standing_by,
            joining: BTreeSet::new(),
            assembly: Assembly::within(Vec::new(), writer.grain()),
            spare: Vec::new(),
            grain: writer.grain(),
            seen: BTreeMap::new(),
            hand: Hand::Free(writer),
            parking: 0,
            loading,
            missing: u64::MAX,
            due: Instant::now(),
            look_at: Instant::now(),
            ending: None,
            holding,
        };
        pipeline.take_up(&absorbed, lanes);
        pipeline
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
            let takes_more = self.takes_more();
            tokio::select! {
                biased;
                () = stopping::asked(stop) => return Err(End::Asked),
                done = self.hand.done() => {
                    self.hand = Hand::Empty;
                    let done = done.map_err(|ended| End::Trouble(told(&ended)))?;
                    self.committed(done).await?;
                    backoff.reset();
                }
                () = self.holding.changed() => self.take_news(),
                () = tokio::time::sleep_until(self.look_at), if self.looks() => {
                    self.look().await?;
                }
                arrival = self.readers.next(takes_more) => match arrival {
                    Ok(arrival) => self.arrived(arrival)?,
                    Err(panic) => {
                        return Err(End::Stopped(format!("the reader of a lane {panic}")));
                    }
                },
                () = tokio::time::sleep_until(self.due), if self.waits() => {}
            }
            self.take_what_is_there()?;
            self.join().await?;
            self.commit_when_due();
            self.let_go();
            if self.assembly.is_empty()
                && matches!(self.hand, Hand::Free(_))
                && let Some(end) = self.ending.take()
            {
                return Err(end);
            }
        }
    }

    fn takes_more(&self) -> bool {
        let settings = &self.projector.shared.settings;
        let missing = self.loading.then_some(self.missing);
        let limits = self.care.limits(settings, missing);
        self.ending.is_none() && !self.holding.is_leaving() && !self.assembly.is_full(limits)
    }

    /// Tells whether there is something to commit that is not due yet.
    fn waits(&self) -> bool {
        matches!(self.hand, Hand::Free(_)) && !self.assembly.is_empty()
    }

    fn take_what_is_there(&mut self) -> Result<(), End> {
        while self.takes_more()
            && let Some(arrival) = self.readers.arrived()
        {
            self.arrived(arrival)?;
        }
        Ok(())
    }

    fn arrived(&mut self, arrival: Arrival) -> Result<(), End> {
        let settings = &self.projector.shared.settings;
        match arrival {
            Arrival::Chunk(chunk) => {
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
            Arrival::LaneStopped(lane, reason) => {
                tracing::error!(view = %self.projector.model.name,
                    generation = %self.projector.live.number, %lane, reason,
                    "a lane has stopped; the others go on");
                self.projector.live.lane_stops(lane, reason);
                self.readers.stop(lane);
                // Nothing is left to do but to be stopped; of several processes each may get
                // other lanes.
                if self.readers.is_empty() && self.projector.shared.share.is_all() {
                    self.ending = Some(End::Stopped("every lane has stopped".into()));
                }
            }
            Arrival::ModelStopped(reason) => self.ending = Some(End::Stopped(reason)),
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
                self.readers.set_pace(self.care.pace(settings));
                if self.loading {
                    self.end_loading_when_near().await?;
                } else {
                    self.due = Instant::now() + (done.took * 2).min(settings.rest_max);
                }
                Ok(())
            }
            Err(CommitError::Fenced { lane, .. }) => Err(End::Fenced(lane)),
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
            Err(CommitError::Fenced { lane, .. }) => Err(End::Fenced(lane)),
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
        self.missing = live.behind(&ends);
        if self.missing > shared.settings.near_events {
            return Ok(());
        }
        let Hand::Free(writer) = &mut self.hand else {
            return Ok(());
        };
        if self.readers.is_empty() {
            // Whoever has loaded it sees to that; should nobody be left, a switch does.
            self.loading = !self.standing_by.is_empty();
            self.say_what_it_does();
            return Ok(());
        }
        live.set_doing(Doing::Indexing);
        writer.finish_loading().await?;
        self.loading = false;
        self.due = Instant::now();
        self.say_what_it_does();
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
