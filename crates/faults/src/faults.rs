//! The faults: what befalls whom, as the seed has it, and how it is healed.

mod choice;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::cluster::{Cluster, Role, SESSION_TIMEOUT, TRANSACTION_TIMEOUT, Way};

/// What can befall a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// A command node is killed at some moment, and started again.
    KillCommand,
    /// A projector is killed at some moment, and started again.
    KillProjector,
    /// A command node dies in a narrow place, and is started again.
    FailCommand,
    /// A projector dies in a narrow place, and is started again.
    FailProjector,
    /// A command node stands still for longer than its session and its transactions may last.
    PauseCommand,
    /// A command node's writer stands still between sending and committing, the node does not.
    StallCommand,
    /// A projector stands still.
    PauseProjector,
    /// The broker is killed, and started again.
    KillBroker,
    /// The broker stands still for a while.
    PauseBroker,
    /// A command node and the broker lose each other.
    CutCommand,
    /// A projector and the broker lose each other.
    CutProjector,
    /// A command node's clock jumps.
    ClockCommand,
    /// A command node is asked to end and started again, one after another.
    RestartCommands,
}

/// How long a paused process stands still: longer than what it holds lasts without it.
const PAUSE: Duration =
    Duration::from_secs(SESSION_TIMEOUT.as_secs() + TRANSACTION_TIMEOUT.as_secs());
/// How long a process that is to die in a narrow place may take to get there.
const DIES_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A fault with everything about it that was left to chance.
#[derive(Clone, Debug)]
pub struct Befalling {
    /// What it is.
    pub fault: Fault,
    /// The number of the node that it befalls; none for the broker.
    pub node: Option<usize>,
    /// How it befalls it, in words.
    pub how: String,
    /// What the load does before it.
    before: Duration,
    /// How long it lasts, where that is not fixed.
    lasts: Duration,
    failpoints: String,
    way: Way,
    shift_ms: i64,
}

impl Befalling {
    /// Whom it befalls, in words.
    pub fn target(&self, cluster: &Cluster) -> String {
        match (self.node, self.fault) {
            (Some(node), _) => cluster.nodes()[node].name.clone(),
            (None, Fault::RestartCommands) => "command nodes".to_owned(),
            (None, _) => "broker".to_owned(),
        }
    }

    /// Lets it happen and heals it; whether all is well again is not looked at.
    ///
    /// # Errors
    /// When a process cannot be started again, or does not end when it is asked to.
    pub async fn befall(&self, cluster: &mut Cluster) -> Result<()> {
        tokio::time::sleep(self.before).await;
        match self.node {
            Some(node) => self.befall_node(cluster, node).await,
            None if self.fault == Fault::RestartCommands => restart_one_by_one(cluster).await,
            None => self.befall_broker(cluster).await,
        }
    }

    async fn befall_node(&self, cluster: &mut Cluster, node: usize) -> Result<()> {
        let longer = PAUSE + self.lasts;
        match self.fault {
            Fault::FailCommand | Fault::FailProjector => {
                return self.die_in_a_narrow_place(cluster, node).await;
            }
            Fault::StallCommand => {
                cluster.node(node).kill();
                cluster.node(node).start(Some(&self.failpoints))?;
                cluster.until_ready(node).await?;
                tokio::time::sleep(longer).await;
            }
            Fault::PauseCommand | Fault::PauseProjector => {
                cluster.node(node).pause();
                tokio::time::sleep(longer).await;
                cluster.node(node).resume();
            }
            Fault::CutCommand | Fault::CutProjector => {
                cluster.node(node).set_way(self.way);
                tokio::time::sleep(longer).await;
                cluster.node(node).set_way(Way::Open);
            }
            Fault::ClockCommand => {
                cluster.node(node).shift_clock(self.shift_ms)?;
                tokio::time::sleep(self.lasts).await;
                cluster.node(node).shift_clock(0)?;
            }
            Fault::KillCommand
            | Fault::KillProjector
            | Fault::KillBroker
            | Fault::PauseBroker
            | Fault::RestartCommands => {
                cluster.node(node).kill();
                cluster.node(node).start(None)?;
            }
        }
        Ok(())
    }

    async fn befall_broker(&self, cluster: &mut Cluster) -> Result<()> {
        if self.fault == Fault::PauseBroker {
            cluster.pause_broker();
            tokio::time::sleep(self.lasts).await;
            cluster.resume_broker();
            return Ok(());
        }
        cluster.kill_broker();
        tokio::time::sleep(self.lasts).await;
        cluster.restart_broker().await
    }

    async fn die_in_a_narrow_place(&self, cluster: &mut Cluster, node: usize) -> Result<()> {
        cluster.node(node).kill();
        cluster.node(node).start(Some(&self.failpoints))?;
        let died = tokio::time::timeout(DIES_WITHIN, async {
            while cluster.node(node).is_running() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        // Not every place is passed so often in that time.
        if died.await.is_err() {
            cluster.node(node).kill();
        }
        cluster.node(node).start(None)
    }
}

async fn restart_one_by_one(cluster: &mut Cluster) -> Result<()> {
    for node in cluster.of_role(Role::Command) {
        cluster.node(node).stop();
        let ended = tokio::time::timeout(DIES_WITHIN, async {
            while cluster.node(node).is_running() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        anyhow::ensure!(ended.await.is_ok(), "a node that was asked to end goes on");
        cluster.node(node).start(None)?;
        cluster.until_ready(node).await?;
    }
    Ok(())
}
