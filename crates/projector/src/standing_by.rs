//! The lanes on which another projector is at work.
//!
//! It is as good as this one, so it is left alone until it has left the checkpoint alone for a
//! while; were both to go on, each would undo half of the other's work.

use std::collections::{BTreeMap, BTreeSet};

use foldline_kernel::{Lane, LaneSequence};
use foldline_tables::Absorbed;

/// How often a lane is looked at before it is tried again in any case.
const LOOKS_MAX: u32 = 120;

/// Lanes that this projector does not follow though they are its own.
#[derive(Debug, Default)]
pub(crate) struct StandingBy {
    lanes: BTreeMap<Lane, Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    place: Option<LaneSequence>,
    looks: u32,
}

impl StandingBy {
    /// Stands by on a lane from now on.
    pub(crate) fn on(&mut self, lane: Lane) {
        self.lanes.entry(lane).or_default();
    }

    /// Forgets all but these.
    pub(crate) fn keep(&mut self, lanes: &BTreeSet<Lane>) {
        self.lanes.retain(|lane, _| lanes.contains(lane));
    }

    pub(crate) fn is_on(&self, lane: Lane) -> bool {
        self.lanes.contains_key(&lane)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Forgets a lane, which is not this process's any more.
    pub(crate) fn forget(&mut self, lane: Lane) {
        self.lanes.remove(&lane);
    }

    /// Looks where the checkpoints are; returns, and forgets, the lanes in which nobody has moved
    /// them since the last look.
    pub(crate) fn look(&mut self, absorbed: &Absorbed) -> Vec<Lane> {
        let mut left_alone = Vec::new();
        self.lanes.retain(|lane, seen| {
            let place = absorbed.lane(*lane).map(|at| at.lane_sequence);
            let place = place.unwrap_or_default();
            seen.looks += 1;
            let stays = seen.place.replace(place) != Some(place) && seen.looks < LOOKS_MAX;
            if !stays {
                left_alone.push(*lane);
            }
            stays
        });
        left_alone
    }
}
