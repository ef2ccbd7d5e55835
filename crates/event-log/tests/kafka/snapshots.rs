//! Snapshots: rounds, lanes, that they belong to one log, and that only the owner writes them.

use foldline_event_log::{Announcement, EventLog, Snapshot, SnapshotStore, conformance::commands};
use foldline_kernel::{Lane, LaneSequence, LogId, UserId};
use uuid::Uuid;

use crate::{
    LANE, contexts,
    ground::Ground,
    raw::{Raw, write},
};

fn snapshot(user: u128, state: &str) -> Snapshot {
    Snapshot {
        user: UserId(Uuid::from_u128(user)),
        state: state.into(),
    }
}

#[tokio::test]
async fn the_last_round_that_ended_comes_back_after_reopening() {
    let ground = Ground::new();
    let id = {
        let log = ground.open(&contexts()).await.unwrap();
        let id = log.topology().log_id;
        let writer = log.open_writer(LANE, Announcement::default()).await;
        let other = log.open_writer(Lane(2), Announcement::default()).await;
        log.put(LANE, vec![snapshot(1, "one")]).await.unwrap();
        assert_eq!(
            log.load(LANE, id).await.unwrap(),
            None,
            "no round has ended"
        );
        log.put(LANE, vec![snapshot(2, "two")]).await.unwrap();
        log.end_round(LANE, id, LaneSequence(7)).await.unwrap();
        let newer = snapshot(1, "one, newer");
        log.put(LANE, vec![newer]).await.unwrap();
        let elsewhere = snapshot(3, "of another lane");
        log.put(Lane(2), vec![elsewhere]).await.unwrap();
        drop((writer, other));
        id
    };
    let log = ground.open(&contexts()).await.unwrap();
    let snapshots = vec![snapshot(1, "one, newer"), snapshot(2, "two")];
    assert_eq!(
        log.load(LANE, id).await.unwrap(),
        Some((LaneSequence(7), snapshots))
    );
    assert_eq!(log.load(Lane(2), id).await.unwrap(), None);
    let other = LogId(Uuid::from_u128(9));
    assert_eq!(
        log.load(LANE, other).await.unwrap(),
        None,
        "a marker of another log is none"
    );
}

#[tokio::test]
async fn a_replaced_writer_overwrites_no_snapshot() {
    let ground = Ground::new();
    let (old, new) = (
        ground.open(&contexts()).await.unwrap(),
        ground.open(&contexts()).await.unwrap(),
    );
    let id = old.topology().log_id;
    assert!(
        old.put(LANE, vec![snapshot(1, "nobody's")]).await.is_err(),
        "this process owns no lane yet"
    );
    let replaced = old
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    old.put(LANE, vec![snapshot(1, "old")]).await.unwrap();
    let _writer = new
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    new.put(LANE, vec![snapshot(1, "new")]).await.unwrap();
    new.end_round(LANE, id, LaneSequence(0)).await.unwrap();

    let late = old.put(LANE, vec![snapshot(1, "late")]).await.unwrap_err();
    assert!(late.source.to_string().contains("replaced"), "{late:?}");
    let loaded = new.load(LANE, id).await.unwrap().unwrap();
    assert_eq!(loaded.1, [snapshot(1, "new")]);
    drop(replaced);
}

#[tokio::test]
async fn snapshots_ride_with_appends_and_do_not_disturb_them() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for n in 0..20 {
        let batch = commands(log.topology(), LANE, &contexts()[0], [n.to_string()]);
        let slice = vec![snapshot(n, "state"); 50];
        let (appended, put) = tokio::join!(writer.append(batch), log.put(LANE, slice));
        put.unwrap();
        assert_eq!(appended.unwrap().lane_sequence, LaneSequence(n as u64 + 1));
    }
    let large = snapshot(1, &"x".repeat(2_000_000));
    let refused = log.put(LANE, vec![large]).await.unwrap_err();
    assert!(
        refused.source.to_string().contains("2000000"),
        "{refused:?}"
    );
    writer.append(vec![]).await.unwrap();
}

#[tokio::test]
async fn what_is_no_snapshot_is_told() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let damaged = Raw {
        topic: format!("{}snapshots", ground.prefix),
        key: b"marker".to_vec(),
        value: b"{".to_vec(),
    };
    write(LANE, &[damaged]);
    let id = log.topology().log_id;
    assert!(log.load(LANE, id).await.is_err());
}
