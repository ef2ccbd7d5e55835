//! Replays, switches and going back, while the log grows.

use foldline_projector::{ReplayError, ReplayPhase, RollbackError, Settings};
use foldline_tables::{GenerationNumber, GenerationState};

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, small},
    store::Store,
    traffic::Traffic,
    world::{NAMES, SHOPS, WALLET, model, opened, paid, rung, user},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_under_traffic_equals_the_live_table() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET), model(SHOPS)];
    let node = Node::start(log.clone(), &store, &models, Settings::default());
    for model in &models {
        node.caught_up(model).await;
    }
    {
        let _traffic = Traffic::on(&log);
        for model in &models {
            let replayed = node.replay(model).await;
            assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
            assert_eq!(replayed.generation, GenerationNumber(2));
        }
    }
    for model in &models {
        node.caught_up(model).await;
        assert_exact(&log, &store, model).await;
        let second = store.rows(model).await;
        let back = node.projectors.rollback(&model.name).await.unwrap();
        assert_eq!(back, GenerationNumber(1));
        node.caught_up(model).await;
        assert_eq!(store.rows(model).await, second, "the first was followed on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_is_built_beside_the_one_that_serves() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let old = model(NAMES);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&old), small());
    log.append(&[opened(user(1), "Ida"), paid(user(1), 6)]);
    node.caught_up(&old).await;
    node.stop().await;

    let new = model(&NAMES.replace("data.cents / data.parts", "data.cents * 2"));
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&new), small());
    let switched = |view: &foldline_projector::ViewStatus| {
        view.serving()
            .is_some_and(|serving| serving.revision == new.revision.0)
    };
    node.until(&new, switched).await;
    log.append(&[paid(user(1), 7)]);
    node.caught_up(&new).await;
    assert_exact(&log, &store, &new).await;

    // The old one is followed on by the definition it was built by, and can be gone back to.
    let back = node.projectors.rollback(&new.name).await.unwrap();
    assert_eq!(back, GenerationNumber(1));
    node.caught_up(&old).await;
    assert_exact(&log, &store, &old).await;
    // Going back is not undone by itself, nor by a restart.
    node.stop().await;
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&new), small());
    let both = |view: &foldline_projector::ViewStatus| {
        view.generations.len() == 2 && view.events_behind == 0
    };
    node.until(&new, both).await;
    assert_eq!(store.serving(&new).await, GenerationNumber(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_previous_generation_is_kept() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let names = model(NAMES);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&names), small());
    node.caught_up(&names).await;
    let nothing = node.projectors.rollback("names").await.unwrap_err();
    assert!(matches!(nothing, RollbackError::NoPrevious(_)), "{nothing}");
    for _ in 0..3 {
        node.replay(&names).await;
    }
    let states: Vec<_> = store.tables.generations("names").await.unwrap();
    let states: Vec<_> = states.iter().map(|it| (it.number.0, it.state)).collect();
    assert_eq!(
        states,
        [
            (3, GenerationState::Previous),
            (4, GenerationState::Serving)
        ]
    );
    node.projectors
        .retire("names", GenerationNumber(3))
        .await
        .unwrap();
    assert!(
        node.projectors
            .retire("names", GenerationNumber(4))
            .await
            .is_err(),
        "it serves"
    );
    assert!(
        node.projectors
            .retire("names", GenerationNumber(3))
            .await
            .is_err(),
        "it is gone"
    );
    assert!(node.projectors.rollback("names").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replays_at_once_are_one_too_many() {
    let (memory, (store, _)) = (MemoryLog::new(), Store::memory());
    let names = model(NAMES);
    let node = Node::start(
        memory.clone(),
        &store,
        std::slice::from_ref(&names),
        small(),
    );
    node.caught_up(&names).await;
    let mut first = node.projectors.replay("names").await.unwrap();
    let second = node.projectors.replay("names").await;
    // The first may have ended already; while it runs, the second is refused.
    if let Err(error) = &second {
        assert!(
            matches!(error, ReplayError::AlreadyRunning { .. }),
            "{error}"
        );
    }
    let mut last = None;
    while let Some(report) = first.recv().await {
        last = Some(report.phase);
    }
    assert_eq!(last, Some(ReplayPhase::Switched));
    assert!(matches!(
        node.projectors.replay("other").await,
        Err(ReplayError::UnknownModel(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_was_cut_off_is_resumed() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let shops = model(SHOPS);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&shops), small());
    for _ in 0..50 {
        log.append(&[rung(user(1), &[("a", 1)]), rung(user(2), &[("b", 2)])]);
    }
    node.caught_up(&shops).await;
    node.stop().await;
    let begun = store
        .tables
        .create(&shops, foldline_event_log::EventLog::topology(&*log).log_id);
    let begun = begun.await.unwrap().number;
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&shops), small());
    let switched = |view: &foldline_projector::ViewStatus| {
        view.serving()
            .is_some_and(|serving| serving.number == begun)
            && view.events_behind == 0
    };
    node.until(&shops, switched).await;
    assert_exact(&log, &store, &shops).await;
}
