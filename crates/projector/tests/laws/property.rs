//! Any batching, interleaving, fault or restart comes to the rows of the plain fold.

use std::sync::LazyLock;

use foldline_kernel::UserId;
use foldline_projector::Settings;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, small},
    store::Store,
    tables::Fault,
    world::{Fact, NAMES, SHOPS, WALLET, closed, model, opened, paid, paid_in, rung, user},
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
});

/// Two users do most of what happens, so their lanes are hot.
fn somebody() -> impl Strategy<Value = UserId> {
    prop_oneof![3 => Just(user(1)), 3 => Just(user(2)), 4 => (3_u128..12).prop_map(user)]
}

fn cents() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => -50_i64..200,
        1 => Just(i64::MAX - 10),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX / 2),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        3 => (somebody(), "[a-d]{1,3}").prop_map(|(user, name)| opened(user, &name)),
        6 => (somebody(), cents()).prop_map(|(user, cents)| paid(user, cents)),
        1 => (somebody(), cents(), 0_i64..3)
            .prop_map(|(user, cents, parts)| paid_in(user, cents, parts)),
        1 => somebody().prop_map(closed),
        4 => (somebody(), proptest::collection::vec(("[ab]", -5_i64..90), 0..4))
            .prop_map(|(user, lines)| {
                let lines: Vec<_> = lines.iter().map(|(shop, cents)| (shop.as_str(), *cents)).collect();
                rung(user, &lines)
            }),
        1 => (somebody(), cents()).prop_map(|(user, cents)| rung(user, &[("a", 1), ("a", cents)])),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::UnknownDone),
        1 => Just(Fault::UnknownNothing),
    ]
}

/// What happens between two appends.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Fact>),
    Faults(Vec<Fault>),
    /// The process ends, without any grace, and another one starts.
    Crash,
    /// The process ends gracefully, and another one starts.
    Restart,
    /// Another process starts beside this one.
    Another,
    /// The first read model is built anew, however far that comes.
    Replay,
    /// The projectors get a turn.
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => proptest::collection::vec(fact(), 1..20).prop_map(Step::Append),
        2 => proptest::collection::vec(fault(), 1..5).prop_map(Step::Faults),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => Just(Step::Another),
        1 => Just(Step::Replay),
        3 => Just(Step::Turn),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        1_usize..9,
        1_usize..20,
        1_usize..40,
        prop_oneof![Just(0_u64), Just(5), Just(1000)],
    )
        .prop_map(|(chunk, batch, load, near)| Settings {
            chunk_events_max: chunk,
            batch_events_max: batch,
            load_events_max: load,
            near_events: near,
            ..small()
        })
}

async fn lives_through(steps: Vec<Step>, settings: Settings) {
    let (log, (store, tables)) = (MemoryLog::new(), Store::memory());
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    let start = || Node::start(log.clone(), &store, &models, settings.clone());
    let mut nodes = vec![start()];
    for step in steps {
        match step {
            Step::Append(facts) => log.append(&facts),
            Step::Faults(faults) => tables.fail(faults),
            Step::Crash => nodes = vec![start()],
            Step::Restart => {
                for node in nodes.drain(..) {
                    node.stop().await;
                }
                nodes.push(start());
            }
            Step::Another if nodes.len() < 2 => nodes.push(start()),
            Step::Another | Step::Turn => tokio::task::yield_now().await,
            Step::Replay => {
                // Whether one is under way already makes no difference here.
                let _ = nodes[0].projectors.replay("wallet").await;
            }
        }
    }
    for model in &models {
        for node in &nodes {
            node.caught_up(model).await;
        }
        assert_exact(&log, &store, model).await;
        let report = nodes[0].verify(model).await;
        assert!(report.clean, "{report:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_batching_comes_to_the_plain_fold(
        steps in proptest::collection::vec(step(), 1..25),
        settings in settings(),
    ) {
        RUNTIME.block_on(lives_through(steps, settings));
    }

    #[test]
    fn the_same_in_real_files(
        facts in proptest::collection::vec(fact(), 1..150),
        settings in settings(),
    ) {
        RUNTIME.block_on(async {
            let (log, store) = (MemoryLog::new(), Store::sqlite().await);
            let models = [model(WALLET), model(NAMES), model(SHOPS)];
            let node = Node::start(log.clone(), &store, &models, settings);
            for some in facts.chunks(17) {
                log.append(some);
                tokio::task::yield_now().await;
            }
            for model in &models {
                node.caught_up(model).await;
                assert_exact(&log, &store, model).await;
                node.replay(model).await;
                node.caught_up(model).await;
                assert_exact(&log, &store, model).await;
            }
            node.stop().await;
        });
    }
}
