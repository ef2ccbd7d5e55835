//! Following the tail: what is appended shows, once, whoever else is at work.

use std::sync::Arc;

use foldline_projector::Doing;
use foldline_read_model::Value;

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, small},
    store::Store,
    tables::Fault,
    world::{NAMES, SHOPS, WALLET, model, opened, paid, rung, user},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_shows_in_every_read_model() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    let node = Node::start(log.clone(), &store, &models, small());
    for round in 0..10_i64 {
        for number in 0..7 {
            let buyer = user(number);
            log.append(&[
                opened(buyer, "Ida"),
                paid(buyer, round),
                rung(buyer, &[("a", round)]),
            ]);
        }
    }
    for model in &models {
        node.caught_up(model).await;
        assert_exact(&log, &store, model).await;
    }
    assert!(node.projectors.ready().await.is_ok());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_has_caught_up_says_so() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let wallet = model(WALLET);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), small());
    log.append(&[opened(user(1), "Ida"), paid(user(2), 5)]);
    let view = node.caught_up(&wallet).await;
    assert_eq!(
        (view.rows, view.events_behind, view.lag_seconds),
        (Some(2), 0, Some(0.0))
    );
    let serving = view.serving().unwrap();
    assert_eq!(serving.status, Doing::Following);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["generations"][0]["state"], "serving");
    assert_eq!(json["generations"][0]["status"], "following");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_with_unknown_outcomes_have_one_effect() {
    let (log, (store, tables)) = (MemoryLog::new(), Store::memory());
    let wallet = model(WALLET);
    tables.fail([
        Fault::UnknownDone,
        Fault::UnknownNothing,
        Fault::Unavailable,
        Fault::None,
        Fault::UnknownDone,
        Fault::UnknownDone,
    ]);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), small());
    for cents in 0..40 {
        log.append(&[paid(user(1), cents), paid(user(2), cents)]);
    }
    node.caught_up(&wallet).await;
    assert_exact(&log, &store, &wallet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_at_one_table_have_one_effect() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET), model(SHOPS)];
    let nodes = [
        Node::start(log.clone(), &store, &models, small()),
        Node::start(log.clone(), &store, &models, small()),
    ];
    for cents in 0..60 {
        log.append(&[
            paid(user(1), cents),
            rung(user(2), &[("a", 1), ("b", cents)]),
        ]);
        tokio::task::yield_now().await;
    }
    for model in &models {
        for node in &nodes {
            node.caught_up(model).await;
        }
        assert_exact(&log, &store, model).await;
        let generations = store.tables.generations(&model.name).await.unwrap();
        assert_eq!(
            generations.len(),
            1,
            "both follow one generation: {generations:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_table_stands() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let shops = model(SHOPS);
    for _ in 0..5 {
        let node = Node::start(log.clone(), &store, std::slice::from_ref(&shops), small());
        log.append(&[rung(user(1), &[("a", 1)]), rung(user(2), &[("a", 1)])]);
        node.caught_up(&shops).await;
        node.stop().await;
    }
    let rows = store.rows(&shops).await;
    let row = rows.values().next().unwrap();
    assert_eq!(
        row[0],
        Value::Bigint(10),
        "each of ten lines once: {rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_waiting_are_told_of_each_commit_of_what_serves() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let names = model(NAMES);
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    let projectors = foldline_projector::Projectors::start(foldline_projector::Parts {
        log: log.clone(),
        tables: store.tables.clone(),
        catalog: crate::world::catalog(),
        models: vec![names.clone()],
        load: Arc::new(|_, _| Err("nothing old here".into())),
        notice: Arc::new(move |name| drop(told.send(name.to_owned()))),
        settings: small(),
    });
    let reader = loop {
        let heard = tokio::time::timeout(std::time::Duration::from_secs(20), telling.recv()).await;
        assert_eq!(heard.unwrap().unwrap(), "names");
        let generations = store.tables.generations("names").await.unwrap();
        if generations
            .iter()
            .any(|it| it.state == foldline_tables::GenerationState::Serving)
        {
            break store
                .tables
                .reader(&names, generations[0].number)
                .await
                .unwrap();
        }
    };
    log.append(&[opened(user(1), "Ida")]);
    loop {
        let absorbed = reader.absorbed().await.unwrap();
        if absorbed
            .checkpoints
            .iter()
            .any(|at| at.lane_sequence.0 == 1)
        {
            break;
        }
        let heard = tokio::time::timeout(std::time::Duration::from_secs(20), telling.recv()).await;
        heard.unwrap().unwrap();
    }
    projectors.stop().await;
}
