//! Several processes at the same tables: none undoes what another has done, and none is lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use foldline_projector::{ReplayPhase, RollbackError, Settings};
use foldline_tables::{
    GenerationNumber,
    GenerationState::{self, Previous, Serving},
    faulty::{Fault, Gate, Operation},
};

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, end_of, eventually, small},
    store::Store,
    traffic::Traffic,
    world::{NAMES, SHOPS, WALLET, model, opened, paid, user},
};

fn held(gate: &Gate) -> Fault {
    Fault::HeldBefore(gate.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_was_overtaken_overwrites_nothing() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let names = model(NAMES);
    let (slow, faults) = store.faulty();
    let start =
        |store: &Store| Node::start(log.clone(), store, std::slice::from_ref(&names), small());
    let (here, there) = (start(&slow), start(&store));
    log.append(&[opened(user(1), "Ida")]);
    here.caught_up(&names).await;
    here.replay(&names).await;
    there
        .until(&names, |view| {
            view.serving().is_some_and(|it| it.number.0 == 2)
        })
        .await;

    let gate = Gate::default();
    faults.on(Operation::Switch, held(&gate));
    let rolling_back = here.projectors.rollback("names");
    let meanwhile = async {
        gate.arrived().await;
        let replayed = there.replay(&names).await;
        assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
        gate.open();
    };
    let (rolled_back, ()) = futures::future::join(rolling_back, meanwhile).await;
    match rolled_back {
        Err(RollbackError::Overtaken { serving, .. }) => {
            assert_eq!(serving, Some(GenerationNumber(3)));
        }
        other => panic!("{other:?}"),
    }
    eventually("what was switched to stays", async || {
        store.states(&names).await == [(2, Previous), (3, Serving)]
    })
    .await;
    // Having looked again, it goes back to what served last.
    let back = here.projectors.rollback("names").await.unwrap();
    assert_eq!(back, GenerationNumber(2));
    for node in [&here, &there] {
        node.caught_up(&names).await;
    }
    assert_exact(&log, &store, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_switched_to_is_a_success_here() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let names = model(NAMES);
    let (slow, faults) = store.faulty();
    let start =
        |store: &Store| Node::start(log.clone(), store, std::slice::from_ref(&names), small());
    let (here, there) = (start(&slow), start(&store));
    log.append(&[opened(user(1), "Ida")]);
    here.caught_up(&names).await;
    there.caught_up(&names).await;
    let gate = Gate::default();
    faults.on(Operation::Switch, held(&gate));
    let progress = here.projectors.replay("names").await.unwrap();
    gate.arrived().await;
    // It joins what is being built here, and is the one that switches to it.
    let replayed = there.replay(&names).await;
    assert_eq!(
        (replayed.phase, replayed.generation.0),
        (ReplayPhase::Switched, 2)
    );
    gate.open();
    let replayed = end_of(progress).await;
    assert_eq!(
        (replayed.phase, replayed.generation.0),
        (ReplayPhase::Switched, 2)
    );
    assert_eq!(store.states(&names).await, [(1, Previous), (2, Serving)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_replay_at_once_build_one_generation() {
    let (log, (store, tables)) = (MemoryLog::new(), Store::memory());
    let names = model(NAMES);
    let ((slow, here_faults), (slower, there_faults)) = (store.faulty(), store.faulty());
    let start =
        |store: &Store| Node::start(log.clone(), store, std::slice::from_ref(&names), small());
    let (here, there) = (start(&slow), start(&slower));
    log.append(&[opened(user(1), "Ida")]);
    here.caught_up(&names).await;
    there.caught_up(&names).await;
    let (switching, creating) = (Gate::default(), Gate::default());
    here_faults.on(Operation::Switch, held(&switching));
    there_faults.on(Operation::Create, held(&creating));
    let joining = async {
        let progress = there.projectors.replay("names").await.unwrap();
        end_of(progress).await
    };
    let beginning = async {
        // There nothing was found and one is about to be made, when one is made here.
        creating.arrived().await;
        let progress = here.projectors.replay("names").await.unwrap();
        switching.arrived().await;
        creating.open();
        eventually("there are no two", async || {
            let states = store.states(&names).await;
            let numbers: Vec<_> = states.iter().map(|(number, _)| *number).collect();
            tables.made("names") == 3 && numbers == [1, 2]
        })
        .await;
        switching.open();
        end_of(progress).await
    };
    let (there, here) = futures::future::join(joining, beginning).await;
    for replayed in [here, there] {
        assert_eq!(
            (replayed.phase, replayed.generation.0),
            (ReplayPhase::Switched, 2)
        );
    }
    assert_eq!(store.states(&names).await, [(1, Previous), (2, Serving)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_with_different_definitions_do_not_fight() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let old = model(NAMES);
    let new = model(&NAMES.replace("data.cents / data.parts", "data.cents * 2"));
    let ((with_old, old_faults), (with_new, new_faults)) = (store.faulty(), store.faulty());
    let older = Node::start(log.clone(), &with_old, std::slice::from_ref(&old), small());
    log.append(&[opened(user(1), "Ida"), paid(user(1), 6)]);
    older.caught_up(&old).await;
    let newer = Node::start(log.clone(), &with_new, std::slice::from_ref(&new), small());
    let switched = |view: &foldline_projector::ViewStatus| {
        view.serving()
            .is_some_and(|it| it.revision == new.revision.0)
    };
    newer.until(&new, switched).await;
    older.until(&old, switched).await;
    // However often each of them looks, both leave it at that.
    for faults in [&old_faults, &new_faults] {
        for _ in 0..4 {
            let gate = Gate::default();
            faults.on(Operation::Generations, held(&gate));
            gate.arrived().await;
            gate.open();
        }
    }
    let expected = [(1, Previous), (2, Serving)];
    assert_eq!(store.states(&new).await, expected);
    log.append(&[paid(user(1), 7)]);
    newer.caught_up(&new).await;
    older.until(&old, |view| view.events_behind == 0).await;
    assert_exact(&log, &store, &new).await;

    // Who reads the older definition again, later, has its way.
    older.projectors.replace_model(old.clone()).await.unwrap();
    let back = |view: &foldline_projector::ViewStatus| {
        view.serving()
            .is_some_and(|it| it.revision == old.revision.0)
    };
    older.until(&old, back).await;
    newer.until(&new, back).await;
    older.caught_up(&old).await;
    assert_exact(&log, &store, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_back_in_time_whichever_process_writes_and_switches() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let other = store.opened_again().await;
    let models = [model(WALLET), model(SHOPS)];
    let settings = Settings {
        chunk_events_max: 64,
        batch_events_max: 256,
        load_events_max: 1024,
        ..small()
    };
    let nodes = [
        Node::start(log.clone(), &store, &models, settings.clone()),
        Node::start(log.clone(), &other, &models, settings),
    ];
    for model in &models {
        nodes[0].caught_up(model).await;
    }
    let traffic = Traffic::on(&log);
    let going = Arc::new(AtomicBool::new(true));
    let wallet = models[0].clone();
    let (watched, goes) = (store.clone(), going.clone());
    let watching = tokio::spawn(async move {
        let (mut last, mut generations) = (0, std::collections::BTreeSet::new());
        while goes.load(Ordering::Relaxed) {
            let serving = watched.serving(&wallet).await;
            let reader = watched.tables.reader(&wallet, serving).await;
            let Ok(absorbed) = reader.unwrap().absorbed().await else {
                continue;
            };
            // What was read counts where that generation served at the moment it was read.
            if watched.serving(&wallet).await != serving {
                continue;
            }
            let now: u64 = absorbed
                .checkpoints
                .iter()
                .map(|at| at.lane_sequence.0)
                .sum();
            assert!(now >= last, "generation {serving}: {now} after {last}");
            last = now;
            generations.insert(serving);
        }
        generations.len()
    });
    for round in 0..6 {
        let replayed = nodes[round % 2].replay(&models[0]).await;
        assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
    }
    going.store(false, Ordering::Relaxed);
    drop(traffic);
    assert!(watching.await.unwrap() > 1, "it saw several");
    for model in &models {
        for node in &nodes {
            node.caught_up(model).await;
        }
        assert_exact(&log, &store, model).await;
        let states = store.states(model).await;
        let serving = |state: &&(u32, GenerationState)| state.1 == Serving;
        assert_eq!(states.iter().filter(serving).count(), 1, "{states:?}");
    }
}
