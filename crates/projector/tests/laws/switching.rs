//! Switches and retirements that go wrong half way: what they come to all the same.

use std::{sync::Arc, time::Duration};

use foldline_projector::{Doing, ReplayPhase, RetireError, Settings};
use foldline_read_model::Model;
use foldline_tables::{
    GenerationNumber,
    GenerationState::{Previous, Serving},
    faulty::{Fault, Faults, Gate, Operation},
};

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, end_of, eventually, small},
    store::Store,
    tables::MemoryTables,
    world::{NAMES, SHOPS, model, opened, paid, rung, user},
};

/// A node that has caught up, on tables that fail on command.
struct World {
    log: Arc<MemoryLog>,
    /// As they are; the node has them with faults.
    store: Store,
    tables: MemoryTables,
    faults: Faults,
    model: Arc<Model>,
    node: Node,
}

async fn world(settings: Settings) -> World {
    let (log, (store, tables)) = (MemoryLog::new(), Store::memory());
    let (faulty, faults) = store.faulty();
    let model = model(NAMES);
    log.append(&[opened(user(1), "Ida"), paid(user(2), 6)]);
    let node = Node::start(log.clone(), &faulty, std::slice::from_ref(&model), settings);
    node.caught_up(&model).await;
    World {
        log,
        store,
        tables,
        faults,
        model,
        node,
    }
}

/// Settings by which the registry is read when something asks for it alone.
fn rarely() -> Settings {
    Settings {
        registry_every: Duration::from_secs(3600),
        ..small()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_whose_answer_was_lost_has_happened_all_the_same() {
    let world = world(small()).await;
    for generation in 2..5 {
        world.faults.on(Operation::Switch, Fault::LostAnswer);
        let replayed = world.node.replay(&world.model).await;
        assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
        assert_eq!(replayed.generation, GenerationNumber(generation));
        world.log.append(&[opened(user(generation.into()), "Bo")]);
        world.node.caught_up(&world.model).await;
        let states = world.store.states(&world.model).await;
        assert_eq!(states, [(generation - 1, Previous), (generation, Serving)]);
    }
    world.faults.on(Operation::Switch, Fault::LostAnswer);
    let back = world.node.projectors.rollback("names").await.unwrap();
    assert_eq!(back, GenerationNumber(3));
    assert_eq!(world.faults.waiting(), 0);
    world.node.caught_up(&world.model).await;
    assert_exact(&world.log, &world.store, &world.model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_switch_is_found_out_once_the_registry_answers() {
    let world = world(rarely()).await;
    world.node.replay(&world.model).await;
    // The new generation is not written before the faults are there.
    let gate = Gate::default();
    let held = Fault::HeldBefore(gate.clone());
    world.faults.on(Operation::Writer, held);
    let progress = world.node.projectors.replay("names").await.unwrap();
    gate.arrived().await;
    // Neither the switch nor the look after it is answered.
    world.faults.on(Operation::Generations, Fault::Unavailable);
    world.faults.on(Operation::Switch, Fault::LostAnswer);
    gate.open();
    let replayed = end_of(progress).await;
    assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    assert_eq!(world.faults.waiting(), 0);
    // The one to go back to is the one that served, and nothing older is left.
    let states = async || world.store.states(&world.model).await;
    eventually("one is kept", async || {
        states().await == [(2, Previous), (3, Serving)]
    })
    .await;
    let back = world.node.projectors.rollback("names").await.unwrap();
    assert_eq!(back, GenerationNumber(2));
    assert_eq!(states().await, [(2, Serving), (3, Previous)]);
    world
        .node
        .until(&world.model, |view| view.ready().is_ok())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_was_refused_is_tried_again() {
    let world = world(small()).await;
    for _ in 0..2 {
        world.faults.on(Operation::Switch, Fault::Unavailable);
    }
    let replayed = world.node.replay(&world.model).await;
    assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    assert_eq!(world.faults.waiting(), 0);
    world.faults.on(Operation::Switch, Fault::Unavailable);
    let refused = world.node.projectors.rollback("names").await;
    assert!(refused.is_err(), "{refused:?}");
    let states = world.store.states(&world.model).await;
    assert_eq!(states, [(1, Previous), (2, Serving)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_that_failed_is_made_up_for() {
    let world = world(small()).await;
    world.node.replay(&world.model).await;
    for fault in [Fault::Unavailable, Fault::LostAnswer, Fault::Unavailable] {
        world.faults.on(Operation::Retire, fault);
    }
    let replayed = world.node.replay(&world.model).await;
    assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    // Whatever is left over for a while, one goes back to what served.
    let back = world.node.projectors.rollback("names").await.unwrap();
    assert_eq!(back, GenerationNumber(2));
    world.log.append(&[opened(user(3), "Bo")]);
    world.node.caught_up(&world.model).await;
    let expected = [(2, Serving), (3, Previous)];
    eventually("the oldest is retired", async || {
        world.store.states(&world.model).await == expected
    })
    .await;
    assert_exact(&world.log, &world.store, &world.model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_retired_goes_on() {
    let world = world(small()).await;
    let retire = |number| {
        world
            .node
            .projectors
            .retire("names", GenerationNumber(number))
    };
    assert!(matches!(retire(1).await, Err(RetireError::Serves { .. })));
    world.node.replay(&world.model).await;
    world.faults.on(Operation::Retire, Fault::Unavailable);
    let refused = retire(1).await;
    assert!(
        matches!(refused, Err(RetireError::Tables { .. })),
        "{refused:?}"
    );
    world.log.append(&[opened(user(3), "Bo")]);
    let follows = |view: &foldline_projector::ViewStatus| {
        let all = view.generations.iter();
        view.generations.len() == 2
            && all
                .clone()
                .all(|it| it.status == Doing::Following && it.events_behind == 0)
    };
    world.node.until(&world.model, follows).await;
    // It is done, though nobody says so.
    world.faults.on(Operation::Retire, Fault::LostAnswer);
    retire(1).await.unwrap();
    assert_eq!(world.store.states(&world.model).await, [(2, Serving)]);
    assert!(matches!(
        retire(1).await,
        Err(RetireError::UnknownGeneration { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_change_get_their_indexes_while_the_node_runs() {
    let World {
        tables,
        faults,
        store,
        model: names,
        node,
        ..
    } = world(small()).await;
    let indexed = async |expected: &[&str]| {
        eventually("the indexes are made", async || {
            tables.indexed("names", GenerationNumber(1)) == expected
        })
        .await;
    };
    indexed(&["mine"]).await;
    let another = NAMES.to_owned()
        + r#"
[[query]]
name   = "theirs"
where  = { user_id = "eq" }
access = "staff"
"#;
    let another = model(&another);
    assert_eq!(another.revision, names.revision, "the rules are the same");
    faults.on(Operation::Writer, Fault::Unavailable);
    node.projectors
        .replace_model(another.clone())
        .await
        .unwrap();
    indexed(&["mine", "theirs"]).await;
    assert_eq!(
        store.states(&names).await,
        [(1, Serving)],
        "nothing is rebuilt"
    );
    assert_eq!(faults.waiting(), 0, "what failed was tried again");
    node.replay(&another).await;
    let expected = ["mine", "theirs"];
    assert_eq!(tables.indexed("names", GenerationNumber(2)), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_new_can_be_made_what_there_is_goes_on() {
    let World {
        log,
        store,
        model: old,
        node,
        ..
    } = world(small()).await;
    node.stop().await;
    let new = model(&NAMES.replace("data.cents / data.parts", "data.cents * 2"));
    let (faulty, more) = store.faulty();
    for _ in 0..1_000 {
        more.on(Operation::Create, Fault::Unavailable);
    }
    let node = Node::start(log.clone(), &faulty, std::slice::from_ref(&new), small());
    log.append(&[opened(user(3), "Bo")]);
    let view = node.caught_up(&new).await;
    assert!(
        view.trouble
            .is_some_and(|trouble| trouble.contains("fault"))
    );
    assert_exact(&log, &store, &old).await;
    more.clear();
    let switched = |view: &foldline_projector::ViewStatus| {
        let serving = view.serving();
        serving.is_some_and(|it| it.revision == new.revision.0) && view.events_behind == 0
    };
    node.until(&new, switched).await;
    assert_exact(&log, &store, &new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_takes_the_place_of_a_table_that_cannot_be_read() {
    for damage in [
        "nothing is left of it",
        "it is something else",
        "it is gone",
    ] {
        let (log, store) = (MemoryLog::new(), Store::sqlite().await);
        let shops = model(SHOPS);
        let start = || Node::start(log.clone(), &store, std::slice::from_ref(&shops), small());
        log.append(&[rung(user(1), &[("a", 1)]), rung(user(2), &[("a", 1)])]);
        let node = start();
        node.caught_up(&shops).await;
        node.stop().await;
        let file = store.file(&shops, GenerationNumber(1));
        for beside in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{beside}", file.display()));
        }
        match damage {
            "nothing is left of it" => std::fs::write(&file, "").unwrap(),
            "it is something else" => std::fs::write(&file, "no table at all").unwrap(),
            _ => std::fs::remove_file(&file).unwrap(),
        }

        let node = start();
        let stopped = |view: &foldline_projector::ViewStatus| {
            let broken = view.serving();
            broken.is_some_and(|it| it.status == Doing::Stopped && it.trouble.is_some())
        };
        let view = node.until(&shops, stopped).await;
        let trouble = view.serving().unwrap().trouble.clone().unwrap();
        assert!(trouble.contains("replay"), "{damage}: {trouble}");
        let replayed = node.replay(&shops).await;
        assert_eq!(
            replayed.phase,
            ReplayPhase::Switched,
            "{damage}: {replayed:?}"
        );
        node.caught_up(&shops).await;
        assert_exact(&log, &store, &shops).await;
        assert!(node.verify(&shops).await.clean);
        node.projectors
            .retire("shops", GenerationNumber(1))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_first_what_is_before_it() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let shops = model(SHOPS);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&shops), small());
    for shop in ["a", "b", "c"] {
        log.append(&[
            rung(user(1), &[(shop, 1)]),
            paid(user(1), 1),
            rung(user(2), &[(shop, 2)]),
        ]);
    }
    node.caught_up(&shops).await;
    let mut progress = node.projectors.replay("shops").await.unwrap();
    let first = progress.recv().await.unwrap();
    assert_eq!(first.phase, ReplayPhase::Estimating);
    let estimate = first.estimate.unwrap();
    assert_eq!((estimate.events, estimate.rows), (Some(6), Some(3)));
    assert_eq!(estimate.serving, Some(GenerationNumber(1)));
    let file = std::fs::metadata(store.file(&shops, GenerationNumber(1))).unwrap();
    assert!(estimate.bytes.unwrap() >= file.len() && file.len() > 0);
    let last = end_of(progress).await;
    assert!(last.estimate.is_none(), "once is enough");
    assert_eq!((last.phase, last.events_done), (ReplayPhase::Switched, 6));
}
