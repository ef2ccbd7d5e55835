//! Lanes on which nothing comes for a model: their events are not read again at each start.

use std::time::Duration;

use foldline_event_log::EventLog;
use foldline_kernel::{Lane, UserId};
use foldline_projector::Settings;

use crate::{
    log::{LANES, MemoryLog},
    node::{Node, assert_exact, small},
    store::Store,
    world::{SHOPS, model, paid, rung, user},
};

const FOREIGN: i64 = 60;

/// One user for each lane.
fn somebody_in_each_lane(log: &MemoryLog) -> Vec<UserId> {
    let in_lane = |lane| {
        let mut users = (1..).map(user);
        users.find(|user| log.topology().lane_of(*user) == Lane(lane))
    };
    (0..LANES).map(|lane| in_lane(lane).unwrap()).collect()
}

/// Appends what does not concern the shops, in every lane.
fn foreign(log: &MemoryLog, users: &[UserId], count: i64) {
    for cents in 0..count {
        users
            .iter()
            .for_each(|user| log.append(&[paid(*user, cents)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_nothing_where_nothing_came() {
    let (log, store) = (MemoryLog::new(), Store::sqlite().await);
    let shops = model(SHOPS);
    let users = somebody_in_each_lane(&log);
    // In the first lane there is an event of the context, in the others there never was.
    log.append(&[rung(users[0], &[("a", 1)])]);
    foreign(&log, &users, FOREIGN);
    let settings = Settings {
        idle_look_every: Duration::from_secs(3600),
        ..small()
    };
    for round in 1..4 {
        let start = || {
            Node::start(
                log.clone(),
                &store,
                std::slice::from_ref(&shops),
                settings.clone(),
            )
        };
        let node = start();
        log.followed(users.len()).await;
        node.caught_up(&shops).await;
        foreign(&log, &users, FOREIGN);
        node.stop().await;

        log.looked_at();
        let node = start();
        log.followed(users.len()).await;
        users
            .iter()
            .for_each(|user| log.append(&[rung(*user, &[("a", 1)])]));
        node.caught_up(&shops).await;
        assert_eq!(
            log.looked_at(),
            users.len(),
            "round {round}: the new ones alone"
        );
        assert_exact(&log, &store, &shops).await;
        assert!(node.verify(&shops).await.clean);
        node.stop().await;
        log.followed(users.len()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_an_idle_lane_moves_on_by_good_stretches() {
    let (log, (store, tables)) = (MemoryLog::new(), Store::memory());
    let shops = model(SHOPS);
    let users = somebody_in_each_lane(&log);
    let settings = Settings {
        idle_look_every: Duration::from_millis(2),
        idle_events_min: FOREIGN as u64,
        ..small()
    };
    let node = Node::start(
        log.clone(),
        &store,
        std::slice::from_ref(&shops),
        settings.clone(),
    );
    node.caught_up(&shops).await;
    let number = store.serving(&shops).await;
    foreign(&log, &users, FOREIGN);
    let moved = |view: &foldline_projector::ViewStatus| {
        let serving = view.serving().unwrap();
        let places = serving.checkpoints.iter().map(|at| at.lane_sequence.0);
        places.filter(|place| *place == FOREIGN as u64).count() == users.len()
    };
    let view = node.until(&shops, moved).await;
    assert_eq!((view.events_behind, view.rows), (0, Some(0)));
    let commits = tables.commits(&shops.name, number);
    assert!(
        commits <= users.len(),
        "at most one for each lane: {commits}"
    );
    node.stop().await;

    // Less than a good stretch leaves the places alone, and is read when something comes.
    log.looked_at();
    foreign(&log, &users, 5);
    users
        .iter()
        .for_each(|user| log.append(&[rung(*user, &[("a", 1)])]));
    let node = Node::start(log.clone(), &store, std::slice::from_ref(&shops), settings);
    node.caught_up(&shops).await;
    assert_eq!(log.looked_at(), users.len() * 6);
    assert_exact(&log, &store, &shops).await;
    assert!(node.verify(&shops).await.clean);

    // A replay that begins where the places have moved on comes to the same.
    node.replay(&shops).await;
    node.caught_up(&shops).await;
    assert_exact(&log, &store, &shops).await;
}
