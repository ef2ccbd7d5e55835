//! How old what is missing is: right from the first moment, and no number before that.

use std::time::{Duration, SystemTime};

use foldline_projector::ViewStatus;

use crate::{
    log::MemoryLog,
    node::{Node, small},
    store::Store,
    tables::Fault,
    world::{NAMES, WALLET, model, opened, paid, user},
};

/// The events of these laws were made then; their ids are not of any moment.
const MADE: Duration = Duration::from_secs(1_500_000_000);

fn age() -> f64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    (now - MADE).as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_after_a_restart_is_as_old_as_it_is() {
    for definition in [WALLET, NAMES] {
        let (log, (store, tables)) = (MemoryLog::new(), Store::memory());
        let model = model(definition);
        let node = Node::start(log.clone(), &store, std::slice::from_ref(&model), small());
        log.append(&[opened(user(1), "Ida"), paid(user(2), 5)]);
        node.caught_up(&model).await;
        node.stop().await;

        log.append(&[paid(user(1), 6), paid(user(2), 7), paid(user(3), 7)]);
        tables.fail(std::iter::repeat_n(Fault::Unavailable, 1_000_000));
        let node = Node::start(log.clone(), &store, std::slice::from_ref(&model), small());
        let known = |view: &ViewStatus| {
            // Whatever is said is true: unknown, or the age of what is missing; never 0.
            let truly = |lag: f64| (age() - lag).abs() < 3600.0;
            assert!(view.lag_seconds.is_none_or(truly), "{view:#?}");
            view.lag_seconds.is_some()
        };
        node.until(&model, known).await;

        tables.fail_no_more();
        let view = node.caught_up(&model).await;
        assert_eq!(view.lag_seconds, Some(0.0));
        log.append(&[paid(user(1), 8)]);
        node.caught_up(&model).await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_projector_leaves_to_another_does_not_age() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let wallet = model(WALLET);
    let start = || Node::start(log.clone(), &store, std::slice::from_ref(&wallet), small());
    let nodes = [start(), start()];
    for round in 0..200 {
        log.append(&[paid(user(round % 5), 1)]);
        tokio::task::yield_now().await;
    }
    for node in &nodes {
        let view = node.caught_up(&wallet).await;
        assert_eq!(view.lag_seconds, Some(0.0), "{view:#?}");
    }
}
