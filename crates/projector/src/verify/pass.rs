//! One pass over a snapshot: the fold of the log up to its checkpoints, the comparison of one slice.

use std::collections::BTreeMap;

use foldline_event_log::{FollowError, Follower, From, Heads};
use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence};
use foldline_read_model::{RowKey, RowValues};
use foldline_tables::{Absorbed, AsOf, Parked, TableSnapshot};
use tokio::time::{Duration, Instant};

use super::{
    Verify, VerifyError, VerifyPhase, VerifyProgress, VerifyReport, compare, dated,
    reference::{Reference, Slice},
};
use crate::{chunk::Blame, order};

/// How many events are folded before other tasks of the worker get their turn.
const TURN_EVENTS: usize = 256;
/// How often who asked is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Pass<'v> {
    verify: &'v Verify,
    slice: Slice,
    /// How many passes there are.
    of: u32,
    rows_max: usize,
    done: u64,
    total: u64,
    told: Instant,
}

/// How a pass ended.
pub(super) enum Ended {
    /// The rows were compared; with the users held back and whether their events fail.
    Compared(Vec<(Parked, bool)>),
    /// More rows than a pass may hold.
    TooManyRows,
}

/// Why a lane was not folded to its end.
enum Stop {
    TooManyRows,
    Failed(VerifyError),
    /// Told in the report.
    Problem(String),
}

impl<'v> Pass<'v> {
    pub(super) fn new(verify: &'v Verify, slice: Slice, of: u32) -> Self {
        let most = verify.shared.settings.verify_rows_max;
        // An estimate that is a little off is no reason to begin again.
        let most = usize::try_from(most.saturating_mul(2)).unwrap_or(usize::MAX);
        Self {
            verify,
            slice,
            of,
            rows_max: most,
            done: 0,
            total: 0,
            told: Instant::now(),
        }
    }

    pub(super) async fn run(
        mut self,
        snapshot: &mut dyn TableSnapshot,
        report: &mut VerifyReport,
    ) -> Result<Ended, VerifyError> {
        let Verify { shared, model, .. } = self.verify;
        let absorbed: Absorbed = snapshot.absorbed().clone();
        self.total = absorbed.checkpoints.iter().map(|at| self.fed(at)).sum();
        let parked = &absorbed.parked;
        let mut reference = Reference::new(model, &shared.catalog, self.slice, parked);
        let mut goals = absorbed.checkpoints.clone();
        let mut found = None;
        if snapshot.as_of() == AsOf::Rows {
            let read = dated::read(snapshot, &absorbed, self.slice, self.rows_max).await;
            let read = read.map_err(|source| self.verify.tables(source))?;
            let Some(read) = read else {
                return Ok(Ended::TooManyRows);
            };
            let log_id = shared.log.topology().log_id;
            for lane in read.ahead.lanes() {
                if absorbed.lane(lane).is_none() {
                    goals.push(Checkpoint::beginning(log_id, lane));
                }
            }
            reference.ahead = Some(read.ahead);
            found = Some(read.rows);
        }
        for goal in &goals {
            match self.fold_lane(goal, &mut reference).await {
                Ok(()) => {}
                Err(Stop::TooManyRows) => return Ok(Ended::TooManyRows),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Problem(problem)) => report.problem(problem),
            }
        }
        for problem in std::mem::take(&mut reference.problems) {
            report.problem(problem);
        }
        let held = reference.held(parked);
        self.tell(VerifyPhase::Comparing);
        match found {
            Some(rows) => self.compare_dated(reference, rows, report).await,
            None => self.compare(reference, snapshot, report).await?,
        }
        report.events = report.events.max(self.done);
        report.as_of = absorbed.checkpoints.iter().map(Into::into).collect();
        Ok(Ended::Compared(held))
    }

    /// Counts the events of the model's contexts up to a checkpoint.
    fn fed(&self, at: &Checkpoint) -> u64 {
        let source = self.verify.model.source.iter();
        source.map(|context| at.sequence(context).0).sum()
    }

    async fn compare(
        &self,
        reference: Reference<'_>,
        snapshot: &mut dyn TableSnapshot,
        report: &mut VerifyReport,
    ) -> Result<(), VerifyError> {
        let model = &self.verify.model;
        let mut compare = compare::Compare::new(model, reference.rows);
        snapshot.rewind();
        loop {
            let rows = snapshot.next_rows(TURN_EVENTS).await;
            let rows = rows.map_err(|source| self.verify.tables(source))?;
            if rows.is_empty() {
                break;
            }
            for (key, values) in rows {
                if self.slice.has(&key) {
                    compare.take(key, &values, report);
                }
            }
            tokio::task::yield_now().await;
        }
        compare.end(report);
        Ok(())
    }

    /// Compares rows that are in memory already.
    async fn compare_dated(
        &self,
        reference: Reference<'_>,
        rows: BTreeMap<RowKey, RowValues>,
        report: &mut VerifyReport,
    ) {
        let mut compare = compare::Compare::new(&self.verify.model, reference.rows);
        for (count, (key, values)) in rows.into_iter().enumerate() {
            compare.take(key, &values, report);
            if count % TURN_EVENTS == 0 {
                tokio::task::yield_now().await;
            }
        }
        compare.end(report);
    }

    /// Folds a lane from its beginning up to a checkpoint, and beyond it as far as any row is.
    async fn fold_lane(
        &mut self,
        goal: &Checkpoint,
        reference: &mut Reference<'_>,
    ) -> Result<(), Stop> {
        let lane = goal.lane;
        let topology = self.verify.shared.log.topology();
        self.within_the_log(goal).await?;
        let mut at = Checkpoint::beginning(topology.log_id, lane);
        let furthest = reference
            .ahead
            .as_ref()
            .and_then(|ahead| ahead.furthest(lane));
        if let Some(furthest) = furthest {
            self.has_come_to(lane, furthest).await?;
        }
        let beyond = |at: &Checkpoint| furthest.is_none_or(|last| at.lane_sequence >= last);
        let mut agreed = self.reached(&at, goal);
        if agreed && beyond(&at) {
            return Ok(());
        }
        let mut follower = self.follow(lane).await.map_err(|error| self.stop(error))?;
        while !(agreed && beyond(&at)) {
            let events = follower.next_batch(TURN_EVENTS).await;
            for event in events.map_err(|error| self.stop(error))? {
                if self.reached(&at, goal) {
                    if !agreed {
                        self.agree(&at, goal)?;
                        agreed = true;
                    }
                    if beyond(&at) {
                        break;
                    }
                }
                let place = || Blame::of(&event, lane).position;
                order::follows(&at, &event, self.verify.model.follows_lanes())
                    .map_err(|trouble| Stop::Problem(format!("at {}: {trouble}", place())))?;
                at.advance(&event.context, event.sequence, event.lane_sequence);
                self.done += u64::from(self.verify.model.source.contains(&event.context));
                let applied = reference.apply(lane, &event);
                applied.map_err(|error| Stop::Problem(format!("at {}: {error}", place())))?;
            }
            if reference.rows.len() > self.rows_max {
                return Err(Stop::TooManyRows);
            }
            if !agreed && self.reached(&at, goal) {
                self.agree(&at, goal)?;
                agreed = true;
            }
            self.tell(VerifyPhase::Folding);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Nobody must wait for events that a row promises which no log has.
    async fn has_come_to(&self, lane: Lane, furthest: LaneSequence) -> Result<(), Stop> {
        let heads = self.verify.shared.log.heads(lane).await;
        let end = heads.map_err(|error| self.stop(error))?.lane_sequence;
        if furthest > end {
            return Err(Stop::Problem(format!(
                "a row says that it has lane {lane} up to {furthest}, which lies beyond the end of \
                 the log at {end}"
            )));
        }
        Ok(())
    }

    /// Nobody must wait for events that a wrong checkpoint promises.
    async fn within_the_log(&self, goal: &Checkpoint) -> Result<(), Stop> {
        let log = &self.verify.shared.log;
        let Heads {
            lane_sequence,
            sequences,
        } = log
            .heads(goal.lane)
            .await
            .map_err(|error| self.stop(error))?;
        let contexts = log.topology().contexts.iter();
        let beyond = |(context, end): (&Context, &_)| goal.sequence(context) > *end;
        if goal.lane_sequence > lane_sequence || contexts.zip(&sequences).any(beyond) {
            return Err(Stop::Problem(format!(
                "the checkpoint of lane {}, lane sequence {}, lies beyond the end of the log at {}",
                goal.lane, goal.lane_sequence, lane_sequence
            )));
        }
        Ok(())
    }

    async fn follow(&self, lane: Lane) -> Result<Box<dyn Follower>, FollowError> {
        let log = &self.verify.shared.log;
        match self.verify.model.source.as_slice() {
            [context] => log.follow(context, lane, From::Beginning).await,
            _ => log.follow_lane(lane, From::Beginning).await,
        }
    }

    fn reached(&self, at: &Checkpoint, goal: &Checkpoint) -> bool {
        match self.verify.model.source.as_slice() {
            [context] => at.sequence(context) >= goal.sequence(context),
            _ => at.lane_sequence >= goal.lane_sequence,
        }
    }

    fn stop(&self, error: FollowError) -> Stop {
        match error {
            FollowError::Corrupt { .. } => Stop::Problem(error.to_string()),
            FollowError::Unavailable { .. } => Stop::Failed(self.verify.log(error)),
        }
    }

    fn tell(&mut self, phase: VerifyPhase) {
        if phase == VerifyPhase::Folding && self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        // Nobody may listen, or have taken the report before.
        let _ = self.verify.out.try_send(VerifyProgress {
            model: self.verify.model.name.to_string(),
            phase,
            pass: self.slice.index + 1,
            passes: self.of,
            events_done: self.done,
            events_total: self.total,
        });
    }

    /// A checkpoint whose parts do not belong together was not written by this projector. One of a
    /// model of one context may stand further on in the lane, where other contexts' events are.
    fn agree(&self, at: &Checkpoint, goal: &Checkpoint) -> Result<(), Stop> {
        let same = |(context, sequence): &(Context, _)| at.sequence(context) == *sequence;
        let stands = match self.verify.model.follows_lanes() {
            true => at.lane_sequence == goal.lane_sequence,
            false => at.lane_sequence <= goal.lane_sequence,
        };
        if stands && goal.sequences.iter().all(same) {
            return Ok(());
        }
        Err(Stop::Problem(format!(
            "the checkpoint of lane {} says lane sequence {} where the log has {}",
            goal.lane, goal.lane_sequence, at.lane_sequence
        )))
    }
}
