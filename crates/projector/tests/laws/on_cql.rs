//! The laws where the store has no transactions: a real cluster, wide and shared rows, several
//! processes at once, and verification of rows that each have a place of their own.

use std::{sync::Arc, time::Duration};

use foldline_event_log::{
    EventLog,
    faulty::{EventFault, Faulty},
};
use foldline_kernel::LaneSequence;
use foldline_projector::{ReplayPhase, Settings};
use foldline_tables::{Cql, cql};

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, small},
    store::Store,
    traffic::BUYERS,
    world::{NAMES, SHOPS, WALLET, closed, model, opened, paid, paid_in, rung, user},
};

/// How often something happens to the next buyer; every commit takes several round trips.
const BEAT: Duration = Duration::from_millis(20);

/// A keyspace of its own.
async fn keyspace() -> (Cql, Store) {
    let node = std::env::var("FOLDLINE_TEST_CASSANDRA").unwrap_or_else(|_| {
        panic!(
            "FOLDLINE_TEST_CASSANDRA does not say where Cassandra is; start one with \
             `cargo xtask services up cassandra`, which says what to set"
        )
    });
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut settings = cql::Settings::new(vec![node], name);
    settings.replicas = 1;
    let tables = Cql::open(&settings).await.unwrap();
    (tables.clone(), Store::of(Arc::new(tables)))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_under_traffic_leave_what_the_log_says() {
    let ((cql, store), log) = (keyspace().await, MemoryLog::new());
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    for number in 0..BUYERS {
        log.append(&[opened(user(number), "Ida"), paid(user(number), 5)]);
    }
    log.append(&[closed(user(1)), paid(user(1), 2), paid_in(user(2), 7, 0)]);
    let here = Node::start(log.clone(), &store, &models, small());
    for model in &models {
        here.caught_up(model).await;
    }
    let traffic = tokio::spawn({
        let (log, mut beat) = (log.clone(), tokio::time::interval(BEAT));
        async move {
            for buyer in (0..BUYERS).map(user).cycle() {
                log.append(&[paid(buyer, 1), rung(buyer, &[("a", 1)])]);
                beat.tick().await;
            }
        }
    });
    let there = Node::start(log.clone(), &store, &models, small());
    for model in &models {
        let replayed = here.replay(model).await;
        assert_eq!(replayed.phase, ReplayPhase::Switched, "{replayed:?}");
        let report = there.verify(model).await;
        assert!(report.clean, "while traffic runs: {report:#?}");
    }
    here.stop().await;
    traffic.abort();
    for model in &models {
        there.caught_up(model).await;
        assert_exact(&log, &store, model).await;
        let report = there.verify(model).await;
        assert!(report.clean, "{report:#?}");
    }
    there.stop().await;
    cql.drop_keyspace().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skip_a_double_and_a_swap_are_found_and_cured_on_cql() {
    let (cql, store) = keyspace().await;
    let cases = [
        (EventFault::Skip, SHOPS, 4),
        (EventFault::Double, WALLET, 5),
        (EventFault::SwapWithNext, NAMES, 2),
    ];
    for (fault, definition, at) in cases {
        let memory = MemoryLog::new();
        let lane = memory.topology().lane_of(user(1));
        for name in ["Ada", "Bea", "Cid"] {
            memory.append(&[opened(user(1), name)]);
        }
        memory.append(&[
            rung(user(1), &[("a", 1)]),
            paid(user(1), 3),
            paid(user(1), 4),
        ]);
        memory.append(&[rung(user(1), &[("b", 1)])]);
        let (log, faults) = Faulty::new(memory.clone());
        faults.on_event(lane, LaneSequence(at), fault);
        let model = model(definition);
        let settings = Settings {
            trust_input: true,
            ..small()
        };
        let log: Arc<dyn EventLog> = Arc::new(log);
        let node = Node::start(log, &store, std::slice::from_ref(&model), settings);
        node.caught_up(&model).await;
        faults.clear();
        let report = node.verify(&model).await;
        // An event that comes twice has no effect the second time: each row knows what it has.
        assert_eq!(
            report.clean,
            fault == EventFault::Double,
            "{fault:?}: {report:#?}"
        );
        node.replay(&model).await;
        let report = node.verify(&model).await;
        assert!(report.clean, "{report:#?}");
        assert_exact(&memory, &store, &model).await;
        node.stop().await;
    }
    cql.drop_keyspace().await.unwrap();
}
