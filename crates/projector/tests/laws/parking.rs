//! An event that cannot be applied holds back its user, in that read model, and nobody else.

use foldline_projector::{Doing, Settings};

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, small},
    store::Store,
    world::{NAMES, SHOPS, WALLET, model, opened, paid, paid_in, rung, user},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_overflows_parks_its_user_alone() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET), model(NAMES)];
    log.append(&[opened(user(1), "Ida"), opened(user(2), "Bo")]);
    for _ in 0..20 {
        log.append(&[paid(user(1), 1), paid(user(2), 1), paid(user(3), 1)]);
    }
    log.append(&[paid(user(1), i64::MAX), paid(user(1), -5), paid(user(2), 7)]);
    // What leaves the range within a batch and comes back in it leaves it all the same.
    log.append(&[
        paid(user(3), i64::MAX),
        paid(user(3), i64::MIN),
        paid(user(4), 1),
    ]);
    let settings = Settings {
        chunk_events_max: 64,
        ..Settings::default()
    };
    let node = Node::start(log.clone(), &store, &models, settings);
    let view = node.caught_up(&models[0]).await;
    let parked: Vec<_> = view.parked.iter().map(|parked| parked.user).collect();
    assert_eq!(parked.len(), 2, "{view:#?}");
    assert!(
        parked.contains(&user(1)) && parked.contains(&user(3)),
        "{parked:?}"
    );
    assert!(
        view.parked[0].reason.contains("`paid`"),
        "{}",
        view.parked[0].reason
    );
    node.caught_up(&models[1]).await;
    for model in &models {
        assert_exact(&log, &store, model).await;
        let report = node.verify(model).await;
        assert!(report.clean, "{report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_fails_parks_until_the_definition_is_mended() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let names = model(NAMES);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&names), small());
    log.append(&[
        paid(user(1), 6),
        paid_in(user(1), 6, 0),
        opened(user(1), "Ida"),
    ]);
    log.append(&[opened(user(2), "Bo")]);
    let view = node.caught_up(&names).await;
    assert_eq!(view.parked.len(), 1, "{view:#?}");
    assert_eq!(view.parked[0].position.sequence.0, 2);
    assert_exact(&log, &store, &names).await;

    let mended = model(&NAMES.replace(
        "data.cents / data.parts",
        "data.parts == 0 ? 0 : data.cents / data.parts",
    ));
    node.projectors.replace_model(mended.clone()).await.unwrap();
    let replayed = node.replay(&mended).await;
    assert_eq!(
        replayed.phase,
        foldline_projector::ReplayPhase::Switched,
        "{replayed:?}"
    );
    let view = node.caught_up(&mended).await;
    assert!(view.parked.is_empty(), "{view:#?}");
    assert_exact(&log, &store, &mended).await;
    assert!(node.verify(&mended).await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_shared_table_only_the_parked_users_part_is_missing() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let shops = model(SHOPS);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&shops), small());
    log.append(&[rung(user(1), &[("a", 5)]), rung(user(2), &[("a", 7)])]);
    // All of the event fails with its second line.
    log.append(&[
        rung(user(1), &[("a", 1), ("b", i64::MAX)]),
        rung(user(1), &[("a", 1)]),
    ]);
    log.append(&[rung(user(2), &[("a", 11)])]);
    let view = node.caught_up(&shops).await;
    assert_eq!(view.parked.len(), 1, "{view:#?}");
    assert_exact(&log, &store, &shops).await;
    assert!(node.verify(&shops).await.clean);
    node.replay(&shops).await;
    node.caught_up(&shops).await;
    assert_exact(&log, &store, &shops).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_parked_users_than_it_may_have_stop_the_read_model() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let models = [model(NAMES), model(WALLET)];
    let settings = Settings {
        parked_max: 2,
        ..small()
    };
    let node = Node::start(log.clone(), &store, &models, settings);
    for number in 0..3 {
        log.append(&[paid_in(user(number), 1, 0)]);
    }
    let stopped = |view: &foldline_projector::ViewStatus| {
        view.generations
            .iter()
            .any(|it| it.status == Doing::Stopped)
    };
    let view = node.until(&models[0], stopped).await;
    let trouble = view.generations[0].trouble.as_deref().unwrap_or_default();
    assert!(trouble.contains("more than 2 users"), "{trouble}");
    // Everybody else goes on.
    node.caught_up(&models[1]).await;
    assert!(node.projectors.ready().await.is_err());
    node.stop().await;
}
