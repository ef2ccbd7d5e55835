//! The lanes of a node that shares a log with others: taken over as they are assigned to it, let
//! go as they are wanted elsewhere.
//!
//! ```text
//!   assigned ─▶ own ──────────────▶ serves
//!   revoked ──▶ release: accepted commands are answered ─▶ stepped down ─▶ another node's
//!   lost ─────▶ release: whoever has the lane now has fenced this node's writer
//!   ended ────▶ (still assigned) a pause ─▶ own
//! ```
//!
//! Nothing but speed rests on this: a node that believes wrongly that a lane is its own is fenced
//! by the one that has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use foldline_command::{CommandSide, LaneHealth, Owner, Owners as KnownOwners};
use foldline_event_log::{Change, LaneSpread, Membership, Owners, SpreadError};
use foldline_kernel::Lane;
use metrics::{Counter, Gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The group whose members share the lanes, after the topics' prefix.
const GROUP: &str = "command";

/// How long a lane that has ended although it is assigned to this node waits before it is taken
/// over again. Within this time a node that was paused hears that its lanes are others' now.
const TAKE_BACK_PAUSE: Duration = Duration::from_secs(2);
/// How often lanes are looked at that may have ended.
const LOOK: Duration = Duration::from_millis(250);
/// How long to wait before the group is joined again, after that failed or ended.
const JOIN_PAUSE: Duration = Duration::from_secs(1);
/// How long the lanes may take to be let go when the node stops; then it goes all the same.
const LEAVE_MAX: Duration = Duration::from_secs(30);

/// Who owns which lane, as the log tells it.
pub(crate) struct Announced(pub(crate) watch::Receiver<Owners>);

impl Announced {
    fn of(owners: &Owners, lane: Lane) -> Option<Owner> {
        let owner = owners.get(lane.index())?.as_ref()?;
        let address = owner.address.clone()?;
        let epoch = owner.epoch;
        Some(Owner { epoch, address })
    }
}

#[async_trait]
impl KnownOwners for Announced {
    fn owner(&self, lane: Lane) -> Option<Owner> {
        Self::of(&self.0.borrow(), lane)
    }

    async fn changed(&self, lane: Lane, seen: Option<&Owner>) {
        let mut owners = self.0.clone();
        let other = |owners: &Owners| Self::of(owners, lane).as_ref() != seen;
        if owners.wait_for(other).await.is_err() {
            // Nobody tells any more: there is nothing to wait for, and the caller's bound ends it.
            std::future::pending::<()>().await;
        }
    }
}

/// The part of a node that takes lanes over and lets them go.
#[derive(Debug)]
pub(crate) struct Lanes {
    side: Arc<CommandSide>,
    owners: watch::Receiver<Owners>,
    standing: watch::Receiver<Standing>,
    leave: CancellationToken,
}

/// How this node stands in the group.
#[derive(Debug, Default)]
struct Standing {
    /// Why it is no member, or not yet.
    outside: Option<String>,
    assigned: BTreeSet<Lane>,
    /// It takes no lane any more.
    left: bool,
}

impl Lanes {
    /// Begins to take lanes.
    pub(crate) fn start(
        spread: Arc<dyn LaneSpread>,
        owners: watch::Receiver<Owners>,
        side: Arc<CommandSide>,
    ) -> Self {
        let (told, standing) = watch::channel(Standing {
            outside: Some("the group has not let this node in yet".to_owned()),
            ..Standing::default()
        });
        let leave = CancellationToken::new();
        let driver = Driver {
            spread,
            side: side.clone(),
            standing: told,
            leave: leave.clone(),
            ended: BTreeMap::new(),
            meters: Meters::new(),
        };
        tokio::spawn(driver.run());
        Self {
            side,
            owners,
            standing,
            leave,
        }
    }

    /// Returns what keeps this node from taking commands for every lane: those it has serve, and
    /// somebody is known to own each of the others.
    pub(crate) fn missing(&self) -> Vec<String> {
        let standing = self.standing.borrow();
        if let Some(outside) = &standing.outside {
            return vec![format!("no lanes are assigned to this node: {outside}")];
        }
        let mut missing = Vec::new();
        for lane in &standing.assigned {
            if self.side.health_of(*lane) == LaneHealth::Elsewhere {
                missing.push(format!("lane {lane} was taken over by another writer"));
            }
        }
        let owners = self.owners.borrow();
        let unknown = owners.iter().filter(|owner| owner.is_none()).count();
        if unknown > 0 {
            missing.push(format!("{unknown} lanes have no known owner"));
        }
        missing
    }

    /// Lets every lane go, and returns once others may have them.
    pub(crate) async fn leave(&self) {
        self.leave.cancel();
        let mut standing = self.standing.clone();
        let left = standing.wait_for(|standing| standing.left);
        if tokio::time::timeout(LEAVE_MAX, left).await.is_err() {
            tracing::warn!("lanes were not let go in time; their next owners fence this node");
        }
    }
}

struct Driver {
    spread: Arc<dyn LaneSpread>,
    side: Arc<CommandSide>,
    standing: watch::Sender<Standing>,
    leave: CancellationToken,
    /// Assigned lanes whose tasks have ended, and since when that is known.
    ended: BTreeMap<Lane, Instant>,
    meters: Meters,
}

impl Driver {
    async fn run(mut self) {
        while let Err(error) = self.be_a_member().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "this node is no member of the group of its lanes"
            );
            self.outside(error.to_string()).await;
            tokio::select! {
                () = tokio::time::sleep(JOIN_PAUSE) => {}
                () = self.leave.cancelled() => break,
            }
        }
        self.outside("the node is stopping".to_owned()).await;
        self.standing.send_modify(|standing| standing.left = true);
    }

    /// Takes lanes over and lets them go until this node has left the group.
    async fn be_a_member(&mut self) -> Result<(), SpreadError> {
        let membership = Membership {
            group: GROUP.to_owned(),
            instance: None,
        };
        let joined = tokio::select! {
            joined = self.spread.join(membership) => joined,
            () = self.leave.cancelled() => return Ok(()),
        };
        let mut member = joined?;
        let mut look = tokio::time::interval(LOOK);
        let leave = self.leave.clone();
        let mut leaving = false;
        loop {
            tokio::select! {
                change = member.next() => match change? {
                    Change::Left => return Ok(()),
                    change => self.follow(change).await,
                },
                _ = look.tick() => self.take_back(),
                () = leave.cancelled(), if !leaving => {
                    member.leave();
                    leaving = true;
                }
            }
        }
    }

    async fn follow(&mut self, change: Change) {
        match change {
            Change::Assigned(lanes) => {
                tracing::info!(?lanes, "lanes assigned");
                self.meters.assigned.increment(lanes.len() as u64);
                self.standing.send_modify(|standing| {
                    standing.outside = None;
                    standing.assigned.extend(&lanes);
                });
                lanes.into_iter().for_each(|lane| self.side.own(lane));
            }
            Change::Revoked(revoked) => {
                tracing::info!(lanes = ?revoked.lanes, "lanes are handed over");
                self.meters
                    .handed_over
                    .increment(revoked.lanes.len() as u64);
                self.release(&revoked.lanes).await;
                revoked.stepped_down();
            }
            Change::Lost(lanes) => {
                tracing::warn!(
                    ?lanes,
                    "lanes were given to others, this node was not heard of"
                );
                self.meters.lost.increment(lanes.len() as u64);
                self.release(&lanes).await;
            }
            Change::Left => {}
        }
    }

    /// Lets lanes go, all at once: each answers first what it has accepted.
    async fn release(&mut self, lanes: &[Lane]) {
        self.standing.send_modify(|standing| {
            standing.assigned.retain(|lane| !lanes.contains(lane));
        });
        self.ended.retain(|lane, _| !lanes.contains(lane));
        futures::future::join_all(lanes.iter().map(|lane| self.side.release(*lane))).await;
        self.measure();
    }

    async fn outside(&mut self, reason: String) {
        self.standing
            .send_modify(|standing| standing.outside = Some(reason));
        let lanes: Vec<Lane> = self.standing.borrow().assigned.iter().copied().collect();
        self.release(&lanes).await;
    }

    /// Takes lanes over again that another writer took from this node although they are assigned
    /// to it: a paused or a cut-off node that has let go by now. A closed lane stays closed.
    fn take_back(&mut self) {
        let assigned = self.standing.borrow().assigned.clone();
        for lane in self.side.ended() {
            let closed = matches!(self.side.health_of(lane), LaneHealth::Closed(_));
            if closed || !assigned.contains(&lane) {
                continue;
            }
            let since = *self.ended.entry(lane).or_insert_with(Instant::now);
            if since.elapsed() >= TAKE_BACK_PAUSE {
                tracing::warn!(%lane, "a lane that another writer took is taken back");
                self.meters.taken_back.increment(1);
                self.ended.remove(&lane);
                self.side.own(lane);
            }
        }
        self.measure();
    }

    fn measure(&self) {
        let assigned = &self.standing.borrow().assigned;
        let serves = |lane: &&Lane| self.side.health_of(**lane) == LaneHealth::Serving;
        let serving = assigned.iter().filter(serves).count();
        self.meters.owned.set(serving as f64);
    }
}

struct Meters {
    owned: Gauge,
    assigned: Counter,
    handed_over: Counter,
    lost: Counter,
    taken_back: Counter,
}

impl Meters {
    fn new() -> Self {
        let counter = |change| metrics::counter!("foldline_lane_changes_total", "change" => change);
        Self {
            owned: metrics::gauge!("foldline_lanes_owned"),
            assigned: counter("assigned"),
            handed_over: counter("handed_over"),
            lost: counter("lost"),
            taken_back: counter("taken_back"),
        }
    }
}
