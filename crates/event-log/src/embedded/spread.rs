//! All lanes are this process's: there is no other node.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::Lane;
use tokio::sync::{mpsc, watch};

use super::Embedded;
use crate::{
    EventLog, LaneSpread, Member, Membership,
    spread::{Change, Owners, Revoked, SpreadError},
};

/// How many changes wait: there are three at most.
const CHANGES_MAX: usize = 4;

#[async_trait]
impl LaneSpread for Embedded {
    async fn join(&self, _: Membership) -> Result<Box<dyn Member>, SpreadError> {
        let lanes: Vec<Lane> = self.topology().all_lanes().collect();
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let member = Alone {
            lanes: Some(lanes.clone()),
            sender,
            changes,
        };
        member.tell(Change::Assigned(lanes));
        Ok(Box::new(member))
    }

    /// Nobody is announced: whoever asks is the owner.
    async fn owners(&self) -> Result<watch::Receiver<Owners>, SpreadError> {
        let nobody = vec![None; usize::from(self.topology().lanes)];
        Ok(watch::channel(Arc::new(nobody)).1)
    }
}

/// The only member.
struct Alone {
    /// What it has, until it leaves.
    lanes: Option<Vec<Lane>>,
    sender: mpsc::Sender<Change>,
    changes: mpsc::Receiver<Change>,
}

impl Alone {
    fn tell(&self, change: Change) {
        let told = self.sender.try_send(change);
        told.expect("there is room for every change there can be");
    }
}

#[async_trait]
impl Member for Alone {
    async fn next(&mut self) -> Result<Change, SpreadError> {
        let change = self.changes.recv().await;
        Ok(change.expect("its sender is here"))
    }

    fn leave(&mut self) {
        if let Some(lanes) = self.lanes.take() {
            let stepped_down = None;
            self.tell(Change::Revoked(Revoked {
                lanes,
                stepped_down,
            }));
            self.tell(Change::Left);
        }
    }
}
