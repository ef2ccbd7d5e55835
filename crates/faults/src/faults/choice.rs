//! The choice of a fault, which follows from the seed alone.

use std::time::Duration;

use clap::ValueEnum as _;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Befalling, Fault, PAUSE};
use crate::{
    cluster::{Cluster, Role, Way},
    seconds,
};

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

impl Fault {
    /// The role of the node that it befalls; none where it is the broker or several.
    fn role(self) -> Option<Role> {
        match self {
            Self::KillProjector
            | Self::FailProjector
            | Self::PauseProjector
            | Self::CutProjector => Some(Role::Projector),
            Self::KillBroker | Self::PauseBroker | Self::RestartCommands => None,
            Self::KillCommand
            | Self::FailCommand
            | Self::PauseCommand
            | Self::StallCommand
            | Self::CutCommand
            | Self::ClockCommand => Some(Role::Command),
        }
    }
}

impl Befalling {
    /// Chooses one, among these faults if there are any.
    pub fn choose(cluster: &Cluster, only: &[Fault], chance: &mut StdRng) -> Self {
        let from = match only {
            [] => Fault::value_variants(),
            only => only,
        };
        let fault = *from.choose(chance).expect("there are faults");
        let role = fault.role();
        let node = role.and_then(|role| cluster.of_role(role).choose(chance).copied());
        let mut befalling = Self {
            fault,
            node,
            how: String::new(),
            before: Duration::from_millis(chance.random_range(100..1500)),
            lasts: Duration::from_millis(chance.random_range(100..4000)),
            failpoints: failpoints(fault, chance),
            way: *[Way::Silent, Way::Closed].choose(chance).expect("two"),
            shift_ms: *[-3_600_000, -5_000, 5_000, 3_600_000]
                .choose(chance)
                .expect("four"),
        };
        befalling.how = befalling.describe();
        befalling
    }

    fn describe(&self) -> String {
        let (lasts, longer) = (seconds(self.lasts), seconds(PAUSE + self.lasts));
        match (self.fault, self.way) {
            (Fault::FailCommand | Fault::FailProjector | Fault::StallCommand, _) => {
                self.failpoints.clone()
            }
            (Fault::PauseCommand | Fault::PauseProjector, _) => format!("for {longer}"),
            (Fault::CutCommand | Fault::CutProjector, Way::Silent) => {
                format!("silent for {longer}")
            }
            (Fault::CutCommand | Fault::CutProjector, _) => format!("closed for {longer}"),
            (Fault::ClockCommand, _) => format!("by {} ms for {lasts}", self.shift_ms),
            (Fault::PauseBroker | Fault::KillBroker, _) => format!("for {lasts}"),
            (Fault::KillCommand | Fault::KillProjector | Fault::RestartCommands, _) => {
                String::new()
            }
        }
    }
}

/// Where a node is to die or to stand still, in the words of the crate `fail`.
fn failpoints(fault: Fault, chance: &mut StdRng) -> String {
    let points = match fault.role() {
        Some(Role::Projector) => PROJECTOR_POINTS,
        _ => COMMAND_POINTS,
    };
    let (point, passed_max) = points.choose(chance).expect("there are some");
    let passed = chance.random_range(0..*passed_max);
    if fault == Fault::StallCommand {
        let ms = PAUSE.as_millis();
        return format!("log::before_commit={passed}*off->1*sleep({ms})->off");
    }
    format!("{point}={passed}*off->return")
}
