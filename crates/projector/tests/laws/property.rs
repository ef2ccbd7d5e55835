//! Any batching, interleaving, fault or restart comes to the rows of the plain fold.

use std::sync::LazyLock;

use foldline_kernel::UserId;
use foldline_projector::Settings;
use foldline_tables::{self as tables, GenerationNumber, GenerationState, faulty::Operation};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, eventually, small},
    store::Store,
    tables::Fault,
    world::{Fact, NAMES, SHOPS, WALLET, closed, model, opened, paid, paid_in, rung, user},
};

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
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

pub(crate) fn fact() -> impl Strategy<Value = Fact> {
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
pub(crate) enum Step {
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
    /// It goes back to what served before, where there is something.
    Rollback,
    /// One of its generations is retired, where it does not serve.
    Retire(u32),
    /// The registry does not do what it is asked next, or does not say so.
    Registry(Operation, Registry),
    /// The projectors get a turn.
    Turn,
}

/// [`tables::faulty::Fault`] without its gates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Registry {
    Unavailable,
    LostAnswer,
}

fn registry() -> impl Strategy<Value = Step> {
    let operation = prop_oneof![
        2 => Just(Operation::Switch),
        1 => Just(Operation::Retire),
        1 => Just(Operation::Create),
        1 => Just(Operation::Generations),
        1 => Just(Operation::Writer),
        1 => Just(Operation::Reader),
    ];
    let fault = prop_oneof![Just(Registry::Unavailable), Just(Registry::LostAnswer)];
    (operation, fault).prop_map(|(operation, fault)| Step::Registry(operation, fault))
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => registry(),
        1 => Just(Step::Rollback),
        1 => (1_u32..5).prop_map(Step::Retire),
        8 => proptest::collection::vec(fact(), 1..20).prop_map(Step::Append),
        2 => proptest::collection::vec(fault(), 1..5).prop_map(Step::Faults),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => Just(Step::Another),
        2 => Just(Step::Replay),
        3 => Just(Step::Turn),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
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

/// Lives through it on these tables, whose commits fail as `plan` has it.
pub(crate) async fn lives_through(
    steps: Vec<Step>,
    settings: Settings,
    store: Store,
    plan: impl Fn(Vec<Fault>),
) {
    let log = MemoryLog::new();
    let (faulty, faults) = store.faulty();
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    let start = || Node::start(log.clone(), &faulty, &models, settings.clone());
    let mut nodes = vec![start()];
    for step in steps {
        match step {
            Step::Append(facts) => log.append(&facts),
            Step::Faults(faults) => plan(faults),
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
            Step::Rollback => drop(nodes[0].projectors.rollback("wallet").await),
            Step::Retire(number) => {
                let retired = nodes[0]
                    .projectors
                    .retire("wallet", GenerationNumber(number));
                drop(retired.await);
            }
            Step::Registry(operation, fault) => faults.on(
                operation,
                match fault {
                    Registry::Unavailable => tables::faulty::Fault::Unavailable,
                    Registry::LostAnswer => tables::faulty::Fault::LostAnswer,
                },
            ),
        }
    }
    faults.clear();
    for model in &models {
        for node in &nodes {
            // What serves may have been switched by the other one just now.
            eventually("each has caught up with what serves", async || {
                let view = node.view(model).await;
                let serving = view.serving().map(|serving| serving.number);
                let caught_up = view.events_behind == 0 && serving.is_some();
                caught_up && serving == store.serving_if_any(model).await
            })
            .await;
        }
        assert_exact(&log, &store, model).await;
        let report = nodes[0].verify(model).await;
        assert!(report.clean, "{report:#?}");
        let states = store.states(model).await;
        let serving = |state: &&(u32, GenerationState)| state.1 == GenerationState::Serving;
        assert_eq!(states.iter().filter(serving).count(), 1, "{states:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_batching_comes_to_the_plain_fold(
        steps in proptest::collection::vec(step(), 1..25),
        settings in settings(),
    ) {
        let (store, memory) = Store::memory();
        RUNTIME.block_on(lives_through(steps, settings, store, |faults| memory.fail(faults)));
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
