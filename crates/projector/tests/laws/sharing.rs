//! Processes that share the lanes: each folds its own, together they come to the plain fold,
//! however the lanes move, and whoever does not know yet that they did.

use std::{collections::BTreeSet, sync::Arc};

use foldline_event_log::EventLog;
use foldline_kernel::Lane;
use foldline_projector::{ReplayPhase, Settings, ViewStatus};
use foldline_read_model::Model;
use proptest::prelude::*;

use crate::{
    log::{LANES, MemoryLog},
    node::{Node, assert_exact, end_of, eventually, small},
    property::{RUNTIME, fact, settings},
    store::Store,
    tables::Fault,
    traffic::Traffic,
    world::{Fact, NAMES, SHOPS, WALLET, model, opened, paid, user},
};

fn start(log: &Arc<MemoryLog>, store: &Store, models: &[Arc<Model>]) -> Node {
    Node::start_without_lanes(log.clone(), store, models, small())
}

/// The lanes that a process follows of what serves.
fn followed(view: &ViewStatus) -> Vec<u16> {
    let serving = view.serving().expect("it serves");
    serving.lanes.iter().map(|lane| lane.0).collect()
}

/// A user of each lane.
fn users(log: &MemoryLog) -> Vec<foldline_kernel::UserId> {
    let of = |lane| {
        let mut users = (1..).map(user);
        users.find(|user| log.topology().lane_of(*user) == lane)
    };
    log.topology().all_lanes().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_follows_its_own_lanes_and_all_see_the_whole() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    let nodes = [start(&log, &store, &models), start(&log, &store, &models)];
    let users = users(&log);
    let open = |name| log.append(&users.iter().map(|u| opened(*u, name)).collect::<Vec<_>>());
    open("Ida");
    let troubles = nodes[0].projectors.ready().await.unwrap_err();
    assert!(troubles[0].contains("which lanes"), "{troubles:?}");
    nodes[0].follow([0, 1]).await;
    nodes[1].follow([2, 3]).await;
    for model in &models {
        for (node, lanes) in nodes.iter().zip([[0, 1], [2, 3]]) {
            let view = node.caught_up(model).await;
            assert_eq!(followed(&view), lanes);
            assert_eq!(view.serving().unwrap().stepped_down, 0);
        }
        assert_exact(&log, &store, model).await;
    }
    // Who has none is ready, and knows the whole all the same.
    nodes[1].follow([]).await;
    assert_eq!(nodes[1].projectors.ready().await, Ok(()));
    open("Eva");
    for model in &models {
        let view = nodes[1].view(model).await;
        assert_eq!(followed(&view), [0; 0]);
    }
    // Two lanes are nobody's, and both see that.
    for node in &nodes {
        node.until(&models[0], |view| view.events_behind == 2).await;
    }
    nodes[0].follow(0..LANES).await;
    for model in &models {
        nodes[1].caught_up(model).await;
        assert_exact(&log, &store, model).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_shared_and_outlives_the_processes_that_began_it() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET)];
    let nodes: Vec<_> = (0..3).map(|_| start(&log, &store, &models)).collect();
    for node in &nodes {
        node.follow([]).await;
    }
    let traffic = Traffic::on(&log);
    nodes[0].follow([0]).await;
    nodes[1].follow([1, 2]).await;
    nodes[2].follow([3]).await;
    for node in &nodes {
        node.until(&models[0], |view| view.serving().is_some())
            .await;
    }
    // Asked of the one that does not decide, built by all.
    let replayed = nodes[2].replay(&models[0]).await;
    assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    // Not the second: at the start, each process may have begun one.
    let view = nodes[2].view(&models[0]).await;
    let switched_to = view.serving().expect("it was switched to").number;
    let progress = nodes[1].projectors.replay("wallet").await.unwrap();
    let mut nodes = nodes.into_iter();
    drop((nodes.next(), nodes.next()));
    drop(progress);
    let last = nodes.next().unwrap();
    last.follow(0..LANES).await;
    let next = |view: &ViewStatus| view.serving().is_some_and(|it| it.number > switched_to);
    last.until(&models[0], next).await;
    drop(traffic);
    last.caught_up(&models[0]).await;
    assert_exact(&log, &store, &models[0]).await;
    let report = last.verify(&models[0]).await;
    assert!(report.clean, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_a_replay_hears_of_its_end_from_another_process() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let models = [model(NAMES)];
    let nodes = [start(&log, &store, &models), start(&log, &store, &models)];
    log.append(&[opened(user(1), "Ida"), paid(user(1), 3)]);
    nodes[0].follow([0, 1, 2]).await;
    nodes[1].follow([3]).await;
    for node in &nodes {
        node.caught_up(&models[0]).await;
    }
    let progress = nodes[1].projectors.replay("names").await.unwrap();
    let replayed = end_of(progress).await;
    assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    // The one that decides is gone; somebody else has its lanes, and decides.
    let [first, second] = nodes;
    drop(first);
    second.follow(0..LANES).await;
    let replayed = second.replay(&models[0]).await;
    assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    assert_exact(&log, &store, &models[0]).await;
}

/// What happens between two appends.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Fact>),
    /// A process is told its lanes, which others may believe to be their own.
    Follow(usize, BTreeSet<u16>),
    /// A process that is told nothing goes on with lanes that others were given, as one does that
    /// slept through it.
    Spread(Vec<usize>),
    /// A process ends without any grace, and another one takes its place.
    Crash(usize),
    Faults(Vec<Fault>),
    Replay(usize),
    Turn,
}

const NODES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let lanes = proptest::collection::btree_set(0..LANES, 0..4);
    let faults = prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::UnknownDone),
        1 => Just(Fault::UnknownNothing),
    ];
    prop_oneof![
        8 => proptest::collection::vec(fact(), 1..20).prop_map(Step::Append),
        4 => (0..NODES, lanes).prop_map(|(node, lanes)| Step::Follow(node, lanes)),
        4 => proptest::collection::vec(0..NODES, usize::from(LANES)).prop_map(Step::Spread),
        1 => (0..NODES).prop_map(Step::Crash),
        1 => proptest::collection::vec(faults, 1..4).prop_map(Step::Faults),
        1 => (0..NODES).prop_map(Step::Replay),
        3 => Just(Step::Turn),
    ]
}

/// Gives each lane to the node that is named for it.
async fn spread(nodes: &[Node], owners: &[usize]) {
    for (node, number) in nodes.iter().zip(0..) {
        let lanes = (0..).zip(owners).filter(|(_, owner)| **owner == number);
        node.follow(lanes.map(|(lane, _)| lane)).await;
    }
}

async fn lives_through(steps: Vec<Step>, settings: Settings, files: bool) {
    let log = MemoryLog::new();
    let (store, memory) = match files {
        true => (Store::sqlite().await, None),
        false => {
            let (store, memory) = Store::memory();
            (store, Some(memory))
        }
    };
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    let start = || Node::start_without_lanes(log.clone(), &store, &models, settings.clone());
    let mut nodes: Vec<_> = (0..NODES).map(|_| start()).collect();
    for step in steps {
        match step {
            Step::Append(facts) => log.append(&facts),
            Step::Follow(node, lanes) => nodes[node].follow(lanes).await,
            Step::Spread(owners) => spread(&nodes, &owners).await,
            Step::Crash(node) => nodes[node] = start(),
            Step::Faults(faults) => {
                if let Some(memory) = &memory {
                    memory.fail(faults);
                }
            }
            Step::Replay(node) => drop(nodes[node].projectors.replay("wallet").await),
            Step::Turn => tokio::task::yield_now().await,
        }
    }
    if let Some(memory) = &memory {
        memory.fail_no_more();
    }
    spread(&nodes, &[0, 1, 2, 0]).await;
    for model in &models {
        for node in &nodes {
            eventually("each has caught up with what serves", async || {
                let view = node.view(model).await;
                let serving = view.serving().map(|serving| serving.number);
                let caught_up = view.events_behind == 0 && serving.is_some();
                let whole = view.serving().is_some_and(|it| !it.lanes.is_empty());
                caught_up && whole && serving == store.serving_if_any(model).await
            })
            .await;
        }
        assert_exact(&log, &store, model).await;
        let report = nodes[1].verify(model).await;
        assert!(report.clean, "{report:#?}");
    }
    let lanes: BTreeSet<Lane> = nodes
        .iter()
        .flat_map(|node| node.projectors.lanes().unwrap())
        .collect();
    assert_eq!(lanes.len(), usize::from(LANES));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn however_lanes_move_it_comes_to_the_plain_fold(
        steps in proptest::collection::vec(step(), 1..30),
        settings in settings(),
    ) {
        RUNTIME.block_on(lives_through(steps, settings, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn however_lanes_move_over_processes_that_share_files(
        steps in proptest::collection::vec(step(), 1..20),
        settings in settings(),
    ) {
        RUNTIME.block_on(lives_through(steps, settings, true));
    }
}
