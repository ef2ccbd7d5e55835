//! Nothing is lost: the node dies at the narrow places, once at each of them.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use crate::dataset::Olist;
use crate::dice::Dice;
use crate::history::History;
use crate::kill::{assert_whole, spawn};
use crate::node::{Node, until};

const ORDERS: usize = 400;
const DEATH_WITHIN: Duration = Duration::from_secs(60);
const SIGABRT: i32 = 6;

/// A place where the node can be made to die.
struct Place {
    name: &'static str,
    /// How often at most it is passed before it is deadly.
    passed_max: u64,
    led_there_by: Way,
}

#[derive(Clone, Copy)]
enum Way {
    Import,
    Replay,
}

const PLACES: [Place; 8] = [
    Place {
        name: "log::before_commit",
        passed_max: 20,
        led_there_by: Way::Import,
    },
    Place {
        name: "log::after_commit",
        passed_max: 20,
        led_there_by: Way::Import,
    },
    Place {
        name: "command::decided",
        passed_max: 2_000,
        led_there_by: Way::Import,
    },
    Place {
        name: "projector::before_commit",
        passed_max: 20,
        led_there_by: Way::Import,
    },
    Place {
        name: "projector::after_commit",
        passed_max: 20,
        led_there_by: Way::Import,
    },
    Place {
        name: "snapshot::mid",
        passed_max: 1,
        led_there_by: Way::Import,
    },
    Place {
        name: "replay::before_switch",
        passed_max: 1,
        led_there_by: Way::Replay,
    },
    Place {
        name: "replay::switched",
        passed_max: 1,
        led_there_by: Way::Replay,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_node_dies_at_a_narrow_place() {
    if !cfg!(feature = "failpoints") {
        panic!("this binary has no failpoints in it: run `cargo xtask test`, which builds them in");
    }
    let _alone = crate::alone().await;
    let mut dice = Dice::from_env("narrow places");
    let olist = Olist::find().first_orders(ORDERS);
    let history = History::of(&olist);
    for place in &PLACES {
        let passed = dice.below(place.passed_max);
        println!(
            "{} is deadly after it was passed {passed} times",
            place.name
        );
        die_at(place, passed, &olist, &history).await;
    }
}

async fn die_at(place: &Place, passed: u64, olist: &Olist, history: &History) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::start(&data.path().join("node")).await;
    if matches!(place.led_there_by, Way::Replay) {
        node.import(&olist.dir);
        node.until_caught_up().await;
    }
    let deadly = match passed {
        0 => format!("{}=return", place.name),
        _ => format!("{}={passed}*off->return", place.name),
    };
    node = node.restart_deadly(&deadly);
    let mut tool = match place.led_there_by {
        Way::Import => spawn(&node, olist),
        // The importer tries again by itself; a replay wants a node that listens.
        Way::Replay => {
            node.until_ready().await;
            replay(&node)
        }
    };
    until_dead(&mut node, place).await;
    tool.kill().expect("a process of ours");
    tool.wait().expect("a process of ours");

    node = node.restart().await;
    assert_whole(&node, olist, history, &[]).await;
}

fn replay(node: &Node) -> Child {
    node.command(&["replay", "order"])
        .spawn()
        .expect("the replay starts")
}

async fn until_dead(node: &mut Node, place: &Place) {
    let status = until("the node dies", DEATH_WITHIN, async || {
        node.exited()
            .ok_or_else(|| format!("{} was not deadly\n{}", place.name, node.output()))
    })
    .await;
    let aborted = status.signal() == Some(SIGABRT);
    assert!(
        aborted,
        "{}: {status} is no death by failpoint\n{}",
        place.name,
        node.output()
    );
}
