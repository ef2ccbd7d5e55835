//! The lanes of the read models, spread over the processes that keep them up.
//!
//! A consumer group beside the command nodes': whoever leaves it, or is not heard of any more, is
//! followed by the others. Processes share lanes only where they share tables, so the group is
//! named after those.

use std::{collections::BTreeSet, io, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use foldline_event_log::{Change, LaneSpread, Membership, SpreadError};
use foldline_kernel::Lane;
use foldline_projector::Projectors;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::configuration::{Configuration, Store};

/// What the name of every such group begins with.
const GROUP: &str = "projectors";
/// How long a membership that ended pauses before the next one.
const JOIN_PAUSE: Duration = Duration::from_secs(1);
/// How long the group waits for lanes to be let go of; the checkpoints fence whoever takes longer.
const LET_GO_MAX: Duration = Duration::from_secs(15);

/// How long leaving the group takes at most when the node stops.
const LEAVE_MAX: Duration = Duration::from_secs(30);

/// The part of a node that follows the lanes which the group gives it.
#[derive(Debug)]
pub(crate) struct SpreadProjectors {
    leave: CancellationToken,
    left: CancellationToken,
}

impl SpreadProjectors {
    /// Becomes a member of a group.
    pub(crate) fn start(
        spread: Arc<dyn LaneSpread>,
        projectors: Arc<Projectors>,
        group: String,
    ) -> Self {
        let (leave, left) = (CancellationToken::new(), CancellationToken::new());
        let driver = Driver {
            spread,
            projectors,
            membership: Membership {
                group,
                instance: None,
            },
            leave: leave.clone(),
        };
        let ended = left.clone().drop_guard();
        tokio::spawn(async move {
            let _ended = ended;
            driver.run().await;
        });
        Self { leave, left }
    }

    /// Lets every lane go, and returns once others may have them.
    pub(crate) async fn leave(&self) {
        self.leave.cancel();
        let left = tokio::time::timeout(LEAVE_MAX, self.left.cancelled()).await;
        if left.is_err() {
            tracing::warn!("the group of the read models' lanes was not left in time");
        }
    }
}

struct Driver {
    spread: Arc<dyn LaneSpread>,
    projectors: Arc<Projectors>,
    membership: Membership,
    leave: CancellationToken,
}

impl Driver {
    /// Follows the lanes that the group gives, and joins it again whenever a membership ends, until
    /// it is told to leave.
    async fn run(self) {
        while !self.leave.is_cancelled() {
            let Err(error) = self.be_a_member().await else {
                return;
            };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "this node is no member of the group of the read models' lanes"
            );
            self.follow(None).await;
            let pause = tokio::time::sleep(JOIN_PAUSE);
            self.leave.run_until_cancelled(pause).await;
        }
    }

    async fn be_a_member(&self) -> Result<(), SpreadError> {
        let joined = self.spread.join(self.membership.clone());
        let Some(joined) = self.leave.run_until_cancelled(joined).await else {
            return Ok(());
        };
        let mut member = joined?;
        let mut lanes = BTreeSet::new();
        let mut leaving = false;
        loop {
            let change = tokio::select! {
                () = self.leave.cancelled(), if !leaving => {
                    leaving = true;
                    member.leave();
                    continue;
                }
                change = member.next() => change?,
            };
            match change {
                Change::Assigned(more) => {
                    lanes.extend(more);
                    self.follow(Some(&lanes)).await;
                }
                Change::Revoked(revoked) => {
                    lanes.retain(|lane| !revoked.lanes.contains(lane));
                    self.follow(Some(&lanes)).await;
                    revoked.stepped_down();
                }
                Change::Lost(lost) => {
                    lanes.retain(|lane| !lost.contains(lane));
                    self.follow(Some(&lanes)).await;
                }
                Change::Left => return Ok(()),
            }
        }
    }

    async fn follow(&self, lanes: Option<&BTreeSet<Lane>>) {
        match lanes {
            Some(lanes) => tracing::info!(lanes = %listed(lanes), "the read models follow lanes"),
            None => tracing::info!("the read models follow no lanes"),
        }
        metrics::gauge!("foldline_projector_lanes").set(lanes.map_or(0, BTreeSet::len) as f64);
        let follow = self.projectors.follow(lanes.cloned());
        if tokio::time::timeout(LET_GO_MAX, follow).await.is_err() {
            tracing::warn!(within = ?LET_GO_MAX, "lanes go to others while something is written");
        }
    }
}

/// Lanes in few words: `0-3 7`.
fn listed(lanes: &BTreeSet<Lane>) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for Lane(lane) in lanes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *lane => *last = *lane,
            _ => runs.push((*lane, *lane)),
        }
    }
    let run = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(" ")
}

/// Names the group of all processes that share tables: two that do not never have the same.
///
/// Tables in files have an id that lies beside them, and comes and goes with them. Those on servers
/// are told apart by where they are; whoever writes an address in another way is a group of its
/// own, which the checkpoints fence.
///
/// # Errors
/// When the id can be neither read nor written.
pub(crate) fn group_of(configuration: &Configuration) -> anyhow::Result<String> {
    let tables = &configuration.tables;
    if [tables.wide, tables.relational].contains(&Store::Sqlite) {
        return beside(&configuration.data.join("tables"));
    }
    let place = serde_json::to_vec(tables).context("where the tables are cannot be named")?;
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, &place);
    Ok(format!("{GROUP}-{id}"))
}

fn beside(tables: &Path) -> anyhow::Result<String> {
    let path = tables.join("group");
    let id = read_or_make(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(format!("{GROUP}-{id}"))
}

fn read_or_make(path: &Path) -> io::Result<Uuid> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    // Whole before it has its name, and whoever comes second finds the first one's.
    let made = Uuid::new_v4();
    let unnamed = path.with_extension(made.to_string());
    std::fs::write(&unnamed, made.to_string())?;
    let named = std::fs::hard_link(&unnamed, path);
    std::fs::remove_file(&unnamed)?;
    match named {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let text = std::fs::read_to_string(path)?;
    text.parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_after_its_tables() {
        let directory = std::env::temp_dir().join(Uuid::new_v4().to_string());
        let (one, other) = (directory.join("one"), directory.join("other"));
        let group = beside(&one).unwrap();
        assert_eq!(group, beside(&one).unwrap());
        assert_ne!(group, beside(&other).unwrap());
        assert_eq!(std::fs::read_dir(&one).unwrap().count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn lanes_are_listed_in_few_words() {
        let lanes = |lanes: &[u16]| listed(&lanes.iter().copied().map(Lane).collect());
        assert_eq!(lanes(&[]), "");
        assert_eq!(lanes(&[0, 1, 2, 5, 7, 8]), "0-2 5 7-8");
    }
}
