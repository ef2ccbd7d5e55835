//! Verification means something: it finds what is wrong, names it, and a replay cures it.

use std::sync::Arc;

use foldline_event_log::{
    EventLog,
    faulty::{EventFault, Faulty},
};
use foldline_kernel::LaneSequence;
use foldline_projector::{DifferenceKind, Settings, VerifyError, VerifyOptions};
use foldline_read_model::Value;

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact, small},
    store::Store,
    traffic::{BUYERS, Traffic},
    world::{NAMES, SHOPS, WALLET, closed, model, opened, paid, paid_in, rung, user},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_skip_a_double_and_a_swap_are_found_and_cured() {
    let cases = [
        (EventFault::Skip, NAMES),
        (EventFault::Skip, SHOPS),
        (EventFault::Double, WALLET),
        (EventFault::Double, SHOPS),
        (EventFault::SwapWithNext, NAMES),
        (EventFault::SwapWithNext, WALLET),
    ];
    for (fault, definition) in cases {
        let (memory, store) = (MemoryLog::new(), Store::sqlite().await);
        let lane = memory.topology().lane_of(user(1));
        for name in ["Ada", "Bea", "Cid"] {
            memory.append(&[opened(user(1), name)]);
        }
        memory.append(&[
            rung(user(1), &[("a", 1)]),
            paid(user(1), 3),
            paid(user(1), 4),
        ]);
        // Whatever is skipped, something comes after it.
        memory.append(&[rung(user(1), &[("b", 1)])]);
        let at = match (fault, definition) {
            (EventFault::Double, WALLET) => 5,
            (_, SHOPS) => 4,
            (EventFault::Skip, _) => 3,
            _ => 2,
        };
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
        assert!(!report.clean, "{fault:?} in {}: {report:#?}", model.name);
        assert!(report.differences_found >= 1, "{report:#?}");
        node.replay(&model).await;
        let report = node.verify(&model).await;
        assert!(report.clean, "{report:#?}");
        assert_exact(&memory, &store, &model).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_changed_by_hand_are_named() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let wallet = model(WALLET);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), small());
    for number in 1..30 {
        log.append(&[opened(user(number), "Ida"), paid(user(number), 5)]);
    }
    node.caught_up(&wallet).await;
    let report = node.verify(&wallet).await;
    assert!(report.clean, "{report:#?}");
    assert_eq!((report.rows, report.events), (29, 58));

    let key = |number| std::iter::once(Value::Uuid(user(number).0)).collect();
    store
        .meddle(&wallet, key(7), "name", Value::Text("Eve".into()))
        .await;
    store
        .meddle(&wallet, key(99), "name", Value::Text("Nobody".into()))
        .await;
    let report = node.verify(&wallet).await;
    assert!(!report.clean);
    assert_eq!(report.differences_found, 2, "{report:#?}");
    let [changed, more] = report.differences.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!(changed.kind, DifferenceKind::Different);
    assert_eq!(changed.key["user_id"], user(7).to_string());
    assert_eq!(changed.columns.len(), 1);
    assert_eq!(
        (&changed.columns[0].expected, &changed.columns[0].found),
        (&"Ida".into(), &"Eve".into())
    );
    assert_eq!(more.kind, DifferenceKind::Unexpected);
    assert!(changed.to_string().contains("name"), "{changed}");

    node.replay(&wallet).await;
    assert!(node.verify(&wallet).await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_are_verified_slice_by_slice() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let wallet = model(WALLET);
    let settings = Settings {
        verify_rows_max: 10,
        ..small()
    };
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), settings);
    for number in 1..100 {
        log.append(&[opened(user(number), "Ida"), paid(user(number), 5)]);
    }
    log.append(&[paid(user(5), i64::MAX), closed(user(6)), closed(user(7))]);
    node.caught_up(&wallet).await;
    let report = node.verify(&wallet).await;
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.rows, 97);
    let key = std::iter::once(Value::Uuid(user(50).0)).collect();
    store
        .meddle(&wallet, key, "name", Value::Text("Eve".into()))
        .await;
    assert_eq!(node.verify(&wallet).await.differences_found, 1);

    let sampled = VerifyOptions {
        one_in: Some(3),
        ..VerifyOptions::default()
    };
    let report = node
        .projectors
        .verify("wallet", sampled)
        .unwrap()
        .report()
        .await
        .unwrap();
    assert!(report.rows < 97 && report.rows > 0, "{report:#?}");
}

// On one thread: the first verification does not run before the second one is asked for.
#[tokio::test(flavor = "current_thread")]
async fn a_read_model_is_verified_once_at_a_time() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET), model(SHOPS)];
    let node = Node::start(log.clone(), &store, &models, small());
    log.append(&[opened(user(1), "Ida")]);
    for model in &models {
        node.caught_up(model).await;
    }
    let verify = || node.projectors.verify("wallet", VerifyOptions::default());
    let first = verify().unwrap();
    let refused = verify().expect_err("one at a time");
    assert!(
        matches!(&refused, VerifyError::AlreadyRunning(model) if model == "wallet"),
        "{refused}"
    );
    assert!(node.verify(&models[1]).await.clean, "another one is free");
    assert!(first.report().await.unwrap().clean);
    assert!(node.verify(&models[0]).await.clean, "free after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_no_number_of_passes_could_hold_says_what_to_do() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let wallet = model(WALLET);
    let settings = Settings {
        // Not a single row may be held, however finely the rows are cut.
        verify_rows_max: 0,
        ..small()
    };
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), settings);
    log.append(&[opened(user(1), "Ida")]);
    node.caught_up(&wallet).await;
    let verification = node.projectors.verify("wallet", VerifyOptions::default());
    let failed = verification.unwrap().report().await.unwrap_err();
    assert!(
        matches!(&failed, VerifyError::TooManyRows { passes: 256, .. }),
        "{failed}"
    );
    assert!(failed.to_string().contains("replay it"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_verified_while_it_is_written() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let models = [model(WALLET), model(SHOPS)];
    // Few rows to a pass, so that a verification takes several, all of them as of one point.
    let settings = Settings {
        verify_rows_max: 4,
        ..small()
    };
    let node = Node::start(log.clone(), &store, &models, settings);
    let quiet = user(BUYERS + 1);
    log.append(&[opened(quiet, "Ida"), rung(quiet, &[("quiet", 5)])]);
    log.append(&[
        paid_in(user(BUYERS + 2), i64::MAX, 1),
        paid(user(BUYERS + 2), 1),
    ]);
    for model in &models {
        node.caught_up(model).await;
    }
    let traffic = Traffic::on(&log);
    let mut events = 0;
    for round in 0..12 {
        for model in &models {
            let report = node.verify(model).await;
            assert!(report.clean, "round {round}: {report:#?}");
        }
        let report = node.verify(&models[0]).await;
        assert!(report.events > events, "it goes on meanwhile");
        events = report.events;
    }
    for (model, key, column) in [
        (&models[0], Value::Uuid(quiet.0), "paid"),
        (&models[1], Value::Text("quiet".into()), "cents"),
    ] {
        store
            .meddle(
                model,
                std::iter::once(key.clone()).collect(),
                column,
                Value::Bigint(1),
            )
            .await;
        for _ in 0..3 {
            let report = node.verify(model).await;
            assert_eq!(report.differences_found, 1, "{report:#?}");
            assert_eq!(report.problems_found, 0, "{report:#?}");
            let found = &report.differences[0];
            assert_eq!(found.key.values().next(), Some(&key.to_json()));
            assert_eq!(found.columns[0].column, column);
        }
        // A rebuild of what is written all the while rights it.
        node.replay(model).await;
        assert!(node.verify(model).await.clean);
    }
    drop(traffic);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_held_back_for_nothing_is_told() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let wallet = model(WALLET);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), small());
    log.append(&[paid(user(1), 5)]);
    node.caught_up(&wallet).await;
    let number = store.serving(&wallet).await;
    let mut writer = store.tables.writer(&wallet, number).await.unwrap();
    let parked = foldline_tables::Parked {
        user: user(1),
        lane: log.topology().lane_of(user(1)),
        position: "wallets/0@1".parse().unwrap(),
        lane_sequence: LaneSequence(1),
        reason: "somebody said so".into(),
    };
    let batch = foldline_tables::Batch {
        parked: vec![parked],
        ..Default::default()
    };
    writer.commit(&batch).await.unwrap();
    let report = node.verify(&wallet).await;
    assert_eq!(report.problems_found, 1, "{report:#?}");
    assert!(report.problems[0].contains("can be applied"), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_beyond_the_log_is_told_and_not_waited_for() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let wallet = model(WALLET);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&wallet), small());
    node.caught_up(&wallet).await;
    let number = store.serving(&wallet).await;
    let mut writer = store.tables.writer(&wallet, number).await.unwrap();
    let topology = log.topology();
    let mut at = foldline_kernel::Checkpoint::beginning(topology.log_id, foldline_kernel::Lane(2));
    at.advance(
        &topology.contexts[0],
        foldline_kernel::Sequence(9),
        LaneSequence(9),
    );
    let checkpoints = vec![(LaneSequence::ZERO, at)];
    let batch = foldline_tables::Batch {
        checkpoints,
        ..Default::default()
    };
    writer.commit(&batch).await.unwrap();
    let report = node.verify(&wallet).await;
    assert!(report.problems[0].contains("beyond the end"), "{report:#?}");
}
