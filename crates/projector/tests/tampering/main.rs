//! The fail points that a test of the whole program uses: what is skipped, doubled or swapped
//! between the projector's checks and its fold is found by `verify`, row by row, and gone after a
//! replay.
//!
//! Fail points belong to the process, so this is a program of its own.

#![allow(
    clippy::unwrap_used,
    clippy::result_large_err,
    dead_code,
    reason = "these are tests, whose doubles have the errors of the ports"
)]

#[path = "../laws/log.rs"]
mod log;
#[path = "../laws/node.rs"]
mod node;
#[path = "../laws/store.rs"]
mod store;
#[path = "../laws/tables.rs"]
mod tables;
#[path = "../laws/world.rs"]
mod world;

use foldline_event_log::EventLog;
use foldline_read_model::Value;

use log::MemoryLog;
use node::{Node, assert_exact, small};
use store::Store;
use world::{NAMES, WALLET, model, opened, paid, user};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tampered_with_is_found_and_cured() {
    for (point, definition) in [
        ("projector::skip", NAMES),
        ("projector::double", WALLET),
        ("projector::swap", NAMES),
    ] {
        let (log, store) = (MemoryLog::new(), Store::sqlite().await);
        let lane = log.topology().lane_of(user(1));
        log.append(&[paid(user(1), 1), opened(user(1), "Ada"), paid(user(1), 3)]);
        log.append(&[opened(user(1), "Bea"), paid(user(1), 4)]);
        let at = if definition == WALLET { 3 } else { 4 };
        let action = match point {
            // The names change places where the two that are alike do.
            "projector::swap" => {
                log.append(&[
                    opened(user(2), "Cid"),
                    opened(user(1), "Dan"),
                    opened(user(1), "Eve"),
                ]);
                let last = log.lane(lane).last().unwrap().sequence.0;
                format!("return(wallets/{lane}@{})", last - 1)
            }
            _ => format!("return(wallets/{lane}@{at})"),
        };
        fail::cfg(point, &action).unwrap();
        let model = model(definition);
        let settings = foldline_projector::Settings {
            chunk_events_max: 64,
            ..small()
        };
        let node = Node::start(log.clone(), &store, std::slice::from_ref(&model), settings);
        node.caught_up(&model).await;
        fail::remove(point);

        let report = node.verify(&model).await;
        assert!(!report.clean, "{point}: {report:#?}");
        let named = &report.differences[0].key["user_id"];
        assert_eq!(*named, Value::Uuid(user(1).0).to_json(), "{point}");
        node.replay(&model).await;
        let report = node.verify(&model).await;
        assert!(report.clean, "{point}: {report:#?}");
        assert_exact(&log, &store, &model).await;
    }
}
