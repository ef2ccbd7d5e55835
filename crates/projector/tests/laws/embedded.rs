//! The same on the embedded log: places that a restart continues from, contexts that come later.

use std::{path::Path, sync::Arc};

use foldline_event_log::{
    Announcement, EventLog,
    embedded::{self, Embedded},
};
use foldline_kernel::{Context, Epoch, LaneSequence, Sequence};
use foldline_projector::Settings;
use foldline_read_model::Value;
use foldline_schema::Stamp;

use crate::{
    log::new_event,
    node::{Node, small},
    store::Store,
    world::{Fact, NAMES, SHOPS, WALLET, model, opened, paid, rung, sales, user, wallets},
};

fn open(dir: &Path, contexts: Vec<Context>) -> Arc<Embedded> {
    let name = "world".parse().unwrap();
    let settings = embedded::Settings {
        name,
        lanes: 4,
        contexts,
    };
    Arc::new(Embedded::open(dir, settings).unwrap())
}

async fn append(log: &Embedded, facts: &[Fact]) {
    let stamp = Stamp {
        sequence: Sequence(1),
        lane_sequence: LaneSequence(1),
        epoch: Epoch(1),
    };
    for fact in facts {
        let lane = log.topology().lane_of(fact.user);
        let mut writer = log
            .open_writer(lane, Announcement::default())
            .await
            .unwrap();
        writer.append(vec![new_event(fact, stamp)]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_the_embedded_log_goes_on_also_with_another_context() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::sqlite().await);
    let models = [model(WALLET), model(NAMES), model(SHOPS)];
    let mut contexts = vec![wallets(), sales()];
    for round in 0..3_i64 {
        let log = open(dir.path(), contexts.clone());
        let node = Node::start(log.clone(), &store, &models, small());
        for number in 0..6 {
            let buyer = user(number);
            append(&log, &[opened(buyer, "Ida"), paid(buyer, round)]).await;
            append(&log, &[rung(buyer, &[("a", round), ("b", 1)])]).await;
        }
        for model in &models {
            let view = node.caught_up(model).await;
            assert_eq!(view.ready(), Ok(()));
            let report = node.verify(model).await;
            assert!(report.clean && report.rows > 0, "{report:#?}");
        }
        node.stop().await;
        contexts.push(format!("later-{round}").parse().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_of_which_nothing_was_read_bring_what_comes_later() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::sqlite().await);
    let shops = model(SHOPS);
    let settings = Settings {
        idle_look_every: std::time::Duration::from_millis(2),
        idle_events_min: 4,
        ..small()
    };
    for round in 0..3_i64 {
        let log = open(dir.path(), vec![wallets(), sales()]);
        let start = || {
            Node::start(
                log.clone(),
                &store,
                std::slice::from_ref(&shops),
                settings.clone(),
            )
        };
        let node = start();
        for number in 0..12 {
            append(&log, &[paid(user(number), round)]).await;
        }
        node.caught_up(&shops).await;
        node.stop().await;
        // Everything up to here is foreign; what follows it is not.
        let node = start();
        node.caught_up(&shops).await;
        for number in 0..12 {
            append(
                &log,
                &[rung(user(number), &[("a", 1)]), paid(user(number), 1)],
            )
            .await;
        }
        node.caught_up(&shops).await;
        let rows = store.rows(&shops).await;
        let row = rows.values().next().unwrap();
        assert_eq!(row[0], Value::Bigint(12 * (round + 1)), "{rows:?}");
        assert!(node.verify(&shops).await.clean);
        node.stop().await;
    }
}
