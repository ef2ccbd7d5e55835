//! How far checkpoints are from the end of the log, counted in the contexts that matter.

use std::collections::BTreeMap;

use foldline_event_log::{EventLog, FollowError, Heads};
use foldline_kernel::{Checkpoint, Context, Lane, Sequence, Topology};
use foldline_read_model::Model;
use futures::future::try_join_all;

/// The place of a generation in every lane it has met.
pub(crate) type Checkpoints = BTreeMap<Lane, Checkpoint>;

/// The end of every lane of the log.
pub(crate) type Ends = Vec<Heads>;

/// Reads the end of every lane, all at once: each may be a question to somebody far away.
pub(crate) async fn ends(log: &dyn EventLog) -> Result<Ends, FollowError> {
    let lanes = log.topology().all_lanes();
    try_join_all(lanes.map(|lane| log.heads(lane))).await
}

/// Counts every event of the log.
pub(crate) fn all(ends: &[Heads]) -> u64 {
    ends.iter().map(|end| end.lane_sequence.0).sum()
}

/// The contexts that feed a read model, with their places in [`Heads::sequences`].
#[derive(Clone, Debug)]
pub(crate) struct Feeds {
    contexts: Vec<(Context, usize)>,
}

impl Feeds {
    /// Finds a model's contexts in the log; the error is the one that the log does not have.
    pub(crate) fn of(model: &Model, topology: &Topology) -> Result<Self, Context> {
        let find = |context: &Context| match topology.index_of(context) {
            Some(index) => Ok((context.clone(), index)),
            None => Err(context.clone()),
        };
        let contexts = model.source.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { contexts })
    }

    /// Counts the events up to the end that have not been absorbed.
    pub(crate) fn behind(&self, ends: &[Heads], at: &Checkpoints) -> u64 {
        let lanes = 0..ends.len();
        lanes.map(|lane| self.behind_in(lane, ends, at)).sum()
    }

    /// Returns the lanes in which some event has not been absorbed.
    pub(crate) fn lanes_behind(
        &self,
        ends: &[Heads],
        at: &Checkpoints,
    ) -> impl Iterator<Item = Lane> {
        let lanes = 0..ends.len();
        let behind = lanes.filter(|lane| self.behind_in(*lane, ends, at) > 0);
        behind.map(lane_of)
    }

    fn behind_in(&self, lane: usize, ends: &[Heads], at: &Checkpoints) -> u64 {
        let missing = |(context, index): &(Context, usize)| {
            let end = ends[lane].sequences.get(*index).map_or(0, |end| end.0);
            end.saturating_sub(absorbed(at, lane, context).0)
        };
        self.contexts.iter().map(missing).sum()
    }

    /// Tells whether everything is absorbed that another generation, fed by `contexts`, has
    /// absorbed of the contexts that both follow.
    pub(crate) fn not_behind(
        &self,
        at: &Checkpoints,
        other: &[Checkpoint],
        contexts: &[Context],
    ) -> bool {
        let mut shared = self
            .contexts
            .iter()
            .filter(|(context, _)| contexts.contains(context));
        shared.all(|(context, _)| {
            let reached = |goal: &Checkpoint| {
                absorbed(at, goal.lane.index(), context) >= goal.sequence(context)
            };
            other.iter().all(reached)
        })
    }
}

fn absorbed(at: &Checkpoints, lane: usize, context: &Context) -> Sequence {
    at.get(&lane_of(lane))
        .map(|checkpoint| checkpoint.sequence(context))
        .unwrap_or_default()
}

fn lane_of(index: usize) -> Lane {
    u16::try_from(index).map_or(Lane(u16::MAX), Lane)
}
