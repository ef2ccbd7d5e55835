//! The faults that are planned, and the handle by which tests plan them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldline_kernel::{Lane, LaneSequence};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::Gate;

/// What goes wrong with one append.
#[derive(Clone, Debug)]
pub enum AppendFault {
    /// The batch is appended, but the answer is lost: `Unknown`.
    LostAnswer,
    /// Nothing is appended, but nobody knows: `Unknown`.
    UnknownNothing,
    /// `Fenced`, with or without the batch having been appended before.
    Fenced {
        /// Whether the batch was appended.
        appended: bool,
    },
    /// `Unavailable`, as by a full disk: certainly nothing is appended.
    Full,
    /// The append waits at the gate before it begins.
    HeldBefore(Gate),
    /// The append is durable, but its answer waits at the gate.
    HeldAfter(Gate),
}

/// What goes wrong with opening a writer.
#[derive(Clone, Debug)]
pub enum OpenFault {
    /// `Unavailable`.
    Unavailable,
    /// The opening waits at the gate before it begins.
    Held(Gate),
}

/// What happens to one event on its way to every follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFault {
    /// It never comes.
    Skip,
    /// It comes twice.
    Double,
    /// It waits for the event that the follower would get next, and comes after it.
    SwapWithNext,
}

/// How often an append of a random plan meets which fault, in 1 of so many (0: never).
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// [`AppendFault::LostAnswer`].
    pub lost_answer: u32,
    /// [`AppendFault::UnknownNothing`].
    pub unknown_nothing: u32,
    /// [`AppendFault::Fenced`], half of them with the batch appended.
    pub fenced: u32,
    /// [`AppendFault::Full`].
    pub full: u32,
}

/// The plan of a [`Faulty`](super::Faulty) log; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    appends: HashMap<Lane, VecDeque<AppendFault>>,
    opens: HashMap<Lane, VecDeque<OpenFault>>,
    events: HashMap<Lane, BTreeMap<LaneSequence, EventFault>>,
    random: Option<(StdRng, Odds)>,
}

impl Faults {
    /// Plans a fault for the lane's next append that has none yet; several are met in turn.
    pub fn on_append(&self, lane: Lane, fault: AppendFault) {
        let mut plan = self.plan();
        plan.appends.entry(lane).or_default().push_back(fault);
    }

    /// Plans a fault for the lane's next opening that has none yet; several are met in turn.
    pub fn on_open_writer(&self, lane: Lane, fault: OpenFault) {
        let mut plan = self.plan();
        plan.opens.entry(lane).or_default().push_back(fault);
    }

    /// Plans a fault for an event, which every follower of its lane meets until it is cleared.
    pub fn on_event(&self, lane: Lane, at: LaneSequence, fault: EventFault) {
        self.plan()
            .events
            .entry(lane)
            .or_default()
            .insert(at, fault);
    }

    /// Makes every append without a planned fault meet a random one, the same ones for a seed.
    pub fn at_random(&self, seed: u64, odds: Odds) {
        self.plan().random = Some((StdRng::seed_from_u64(seed), odds));
    }

    /// Drops every plan: the log behaves as the one it wraps.
    pub fn clear(&self) {
        *self.plan() = Plan::default();
    }

    /// Returns how many faults planned for appends and openings have not been met yet.
    pub fn waiting(&self) -> usize {
        let plan = self.plan();
        let appends: usize = plan.appends.values().map(VecDeque::len).sum();
        let opens: usize = plan.opens.values().map(VecDeque::len).sum();
        appends + opens
    }

    pub(super) fn next_append(&self, lane: Lane) -> Option<AppendFault> {
        let mut plan = self.plan();
        let planned = plan.appends.get_mut(&lane).and_then(VecDeque::pop_front);
        planned.or_else(|| plan.random.as_mut().and_then(draw))
    }

    pub(super) fn next_open(&self, lane: Lane) -> Option<OpenFault> {
        self.plan().opens.get_mut(&lane)?.pop_front()
    }

    pub(super) fn of_event(&self, lane: Lane, at: LaneSequence) -> Option<EventFault> {
        self.plan().events.get(&lane)?.get(&at).copied()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn draw((random, odds): &mut (StdRng, Odds)) -> Option<AppendFault> {
    let appended = random.random_bool(0.5);
    let faults = [
        (odds.lost_answer, AppendFault::LostAnswer),
        (odds.unknown_nothing, AppendFault::UnknownNothing),
        (odds.fenced, AppendFault::Fenced { appended }),
        (odds.full, AppendFault::Full),
    ];
    faults
        .into_iter()
        .find_map(|(one_in, fault)| (one_in > 0 && random.random_ratio(1, one_in)).then_some(fault))
}
