//! The faults: what befalls whom, as the seed has it, and how it is healed.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

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

/// The narrow places of a command node, and how often each may be passed before.
const COMMAND_POINTS: &[(&str, u32)] = &[
    ("log::before_begin", 300),
    ("log::after_begin", 300),
    ("log::after_send", 300),
    ("log::before_commit", 300),
    ("log::after_commit", 300),
    ("log::announced", 2),
    ("command::decided", 300),
    ("snapshot::mid", 2),
];
/// The narrow places of a projector.
const PROJECTOR_POINTS: &[(&str, u32)] = &[
    ("projector::before_commit", 300),
    ("projector::after_commit", 300),
];

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
    /// Chooses one.
    pub fn choose(cluster: &Cluster, only: &[Fault], chance: &mut StdRng) -> Self {
        let all = Fault::value_variants();
        let from = if only.is_empty() { all } else { only };
        let fault = *from.choose(chance).expect("there are faults");
        let role = match fault {
            Fault::KillProjector
            | Fault::FailProjector
            | Fault::PauseProjector
            | Fault::CutProjector => Some(Role::Projector),
            Fault::KillBroker | Fault::PauseBroker | Fault::RestartCommands => None,
            _ => Some(Role::Command),
        };
        let node = role.and_then(|role| cluster.of_role(role).choose(chance).copied());
        let points = match role {
            Some(Role::Projector) => PROJECTOR_POINTS,
            _ => COMMAND_POINTS,
        };
        let (point, times) = points.choose(chance).expect("there are some");
        let times = chance.random_range(0..*times);
        let mut befalling = Self {
            fault,
            node,
            how: String::new(),
            before: Duration::from_millis(chance.random_range(100..1500)),
            lasts: Duration::from_millis(chance.random_range(100..4000)),
            failpoints: format!("{point}={times}*off->return"),
            way: *[Way::Silent, Way::Closed].choose(chance).expect("two"),
            shift_ms: *[-3_600_000, -5_000, 5_000, 3_600_000]
                .choose(chance)
                .expect("four"),
        };
        if fault == Fault::StallCommand {
            let ms = PAUSE.as_millis();
            befalling.failpoints = format!("log::before_commit={times}*off->1*sleep({ms})->off");
        }
        befalling.how = befalling.describe();
        befalling
    }

    fn describe(&self) -> String {
        let lasts = crate::seconds(self.lasts);
        match self.fault {
            Fault::FailCommand | Fault::FailProjector | Fault::StallCommand => {
                self.failpoints.clone()
            }
            Fault::PauseCommand | Fault::PauseProjector => format!("for {}", crate::seconds(PAUSE)),
            Fault::CutCommand | Fault::CutProjector => {
                let way = match self.way {
                    Way::Silent => "silent",
                    Way::Open | Way::Closed => "closed",
                };
                format!("{way} for {}", crate::seconds(self.lasts + PAUSE / 2))
            }
            Fault::ClockCommand => format!("by {} ms for {lasts}", self.shift_ms),
            Fault::PauseBroker | Fault::KillBroker => format!("for {lasts}"),
            Fault::KillCommand | Fault::KillProjector | Fault::RestartCommands => String::new(),
        }
    }

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
    /// When a process cannot be started again, or does not die where it should.
    pub async fn befall(&self, cluster: &mut Cluster) -> Result<()> {
        tokio::time::sleep(self.before).await;
        match (self.fault, self.node) {
            (Fault::KillCommand | Fault::KillProjector, Some(node)) => {
                cluster.node(node).kill();
                cluster.node(node).start(None)
            }
            (Fault::FailCommand | Fault::FailProjector, Some(node)) => {
                self.die_in_a_narrow_place(cluster, node).await
            }
            (Fault::StallCommand, Some(node)) => {
                cluster.node(node).kill();
                cluster.node(node).start(Some(&self.failpoints))?;
                cluster.until_ready(node).await?;
                tokio::time::sleep(PAUSE + self.lasts).await;
                Ok(())
            }
            (Fault::PauseCommand | Fault::PauseProjector, Some(node)) => {
                cluster.node(node).pause();
                tokio::time::sleep(PAUSE + self.lasts).await;
                cluster.node(node).resume();
                Ok(())
            }
            (Fault::CutCommand | Fault::CutProjector, Some(node)) => {
                cluster.node(node).set_way(self.way);
                tokio::time::sleep(self.lasts + PAUSE / 2).await;
                cluster.node(node).set_way(Way::Open);
                Ok(())
            }
            (Fault::ClockCommand, Some(node)) => {
                cluster.node(node).shift_clock(self.shift_ms)?;
                tokio::time::sleep(self.lasts).await;
                cluster.node(node).shift_clock(0)
            }
            (Fault::KillBroker, _) => {
                cluster.kill_broker();
                tokio::time::sleep(self.lasts / 2).await;
                cluster.restart_broker().await
            }
            (Fault::PauseBroker, _) => {
                cluster.pause_broker();
                tokio::time::sleep(self.lasts).await;
                cluster.resume_broker();
                Ok(())
            }
            (Fault::RestartCommands, _) => restart_one_by_one(cluster).await,
            // There is no node of that role.
            (_, None) => Ok(()),
        }
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
