//! What stops a lane or a read model, loudly, and what goes on meanwhile.

use std::sync::Arc;

use foldline_event_log::faulty::{EventFault, Faulty};
use foldline_kernel::LaneSequence;
use foldline_projector::Doing;
use serde_json::json;

use crate::{
    log::MemoryLog,
    node::{Node, small},
    store::Store,
    world::{Fact, NAMES, SHOPS, WALLET, model, opened, paid, rung, user},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_a_repeat_and_a_step_back_stop_their_lane() {
    for fault in [
        EventFault::Skip,
        EventFault::Double,
        EventFault::SwapWithNext,
    ] {
        for definition in [WALLET, NAMES] {
            let (memory, (store, _)) = (MemoryLog::new(), Store::memory());
            let (log, faults) = Faulty::new(memory.clone());
            let log: Arc<dyn foldline_event_log::EventLog> = Arc::new(log);
            let lane = log.topology().lane_of(user(1));
            faults.on_event(lane, LaneSequence(3), fault);
            let model = model(definition);
            let node = Node::start(log.clone(), &store, std::slice::from_ref(&model), small());
            for cents in 0..6 {
                memory.append(&[paid(user(1), cents)]);
            }
            let other = (2..)
                .map(user)
                .find(|user| log.topology().lane_of(*user) != lane)
                .unwrap();
            memory.append(&[opened(other, "Bo")]);
            let stopped = |view: &foldline_projector::ViewStatus| {
                let generation = view.generations.first();
                generation.is_some_and(|it| {
                    !it.stopped_lanes.is_empty()
                        // What came before the trouble, and the other lane, are there.
                        && it.checkpoints.iter().map(|at| at.lane_sequence.0).sum::<u64>() >= 3
                })
            };
            let view = node.until(&model, stopped).await;
            let reason = &view.generations[0].stopped_lanes[0].reason;
            assert!(reason.contains("sequence"), "{reason}");
            assert!(node.projectors.ready().await.is_err());
            node.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_nobody_here_knows_stops_the_models_it_feeds() {
    let (log, (store, _)) = (MemoryLog::new(), Store::memory());
    let models = [model(NAMES), model(SHOPS)];
    let node = Node::start(log.clone(), &store, &models, small());
    log.append(&[opened(user(1), "Ida"), rung(user(1), &[("a", 1)])]);
    // A generation that stops before it serves tells nothing of how far it is behind.
    node.caught_up(&models[0]).await;
    let newer = Fact {
        user: user(1),
        type_name: "wallet.melted.v1",
        data: json!({}),
    };
    log.append(&[newer, rung(user(1), &[("a", 2)])]);
    let stopped = |view: &foldline_projector::ViewStatus| {
        view.generations
            .iter()
            .any(|it| it.status == Doing::Stopped)
    };
    let view = node.until(&models[0], stopped).await;
    let trouble = view.generations[0].trouble.as_deref().unwrap_or_default();
    assert!(trouble.contains("wallet.melted.v1"), "{trouble}");
    assert!(trouble.contains("@2"), "it says where: {trouble}");
    assert_eq!(view.events_behind, 1, "what came before it is absorbed");
    node.caught_up(&models[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_log_is_not_followed() {
    let (store, _) = Store::memory();
    let names = model(NAMES);
    let node = Node::start(
        MemoryLog::new(),
        &store,
        std::slice::from_ref(&names),
        small(),
    );
    node.caught_up(&names).await;
    node.stop().await;
    let log = MemoryLog::new();
    log.append(&[opened(user(1), "Ida")]);
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&names), small());
    // It is built from this log beside the other, and then serves.
    let view = node
        .until(&names, |view| {
            view.rows == Some(1) && view.events_behind == 0
        })
        .await;
    let other = view
        .generations
        .iter()
        .find(|it| it.status == Doing::Stopped)
        .unwrap();
    assert!(
        other
            .trouble
            .as_deref()
            .unwrap_or_default()
            .contains("another log")
    );
}
