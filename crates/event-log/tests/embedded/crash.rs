//! The process ends, or its disk fails, at the narrow places; each test is parent and child.

use std::sync::{Arc, Mutex, mpsc};

use foldline_event_log::{
    Announcement, AppendError, Embedded, EventLog, From, Snapshot, SnapshotStore,
    conformance::commands,
};
use foldline_kernel::{LaneSequence, UserId};
use tempfile::TempDir;

use crate::{LANE, append, child, names, open, orders};

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing_of_it() {
    crashes_at("log::before_commit", &["a"]).await;
}

#[tokio::test]
async fn a_crash_after_the_commit_leaves_all_of_it() {
    crashes_at("log::after_commit", &["a", "b"]).await;
}

async fn crashes_at(point: &str, left: &[&str]) {
    let dir = TempDir::new().unwrap();
    let shell = format!("export POINT={point}; ");
    let (output, printed) = child::run("crash::a_child_crashes", dir.path(), &shell);
    assert!(
        !output.status.success() && printed.contains("a is acknowledged"),
        "{printed}"
    );
    assert!(!printed.contains("b is acknowledged"), "{printed}");
    let log = open(dir.path(), &["orders"]).unwrap();
    assert_eq!(names(&log).await, left);
    append(&log, &["c"]).await;
}

#[tokio::test]
async fn a_child_crashes() {
    let Some(dir) = child::dir() else { return };
    let log = open(&dir, &["orders"]).unwrap();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for name in ["a", "b"] {
        let batch = commands(log.topology(), LANE, &orders(), [name]);
        writer.append(batch).await.unwrap();
        println!("{name} is acknowledged");
        fail::cfg(std::env::var("POINT").unwrap(), "return").unwrap();
    }
}

#[tokio::test]
async fn a_round_of_snapshots_that_did_not_end_leaves_the_marker_before_it() {
    let dir = TempDir::new().unwrap();
    let (output, printed) = child::run("crash::a_child_crashes_mid_snapshot", dir.path(), "");
    assert!(
        !output.status.success() && printed.contains("a round ended"),
        "{printed}"
    );
    let log = open(dir.path(), &["orders"]).unwrap();
    let (replay_after, snapshots) = log
        .load(LANE, log.topology().log_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(replay_after, LaneSequence(1));
    assert_eq!(snapshots.len(), 1);
}

#[tokio::test]
async fn a_child_crashes_mid_snapshot() {
    let Some(dir) = child::dir() else { return };
    let log = open(&dir, &["orders"]).unwrap();
    let id = log.topology().log_id;
    for round in 1..3 {
        let snapshot = Snapshot {
            user: UserId(uuid::Uuid::from_u128(1)),
            state: vec![round],
        };
        log.put(LANE, vec![snapshot]).await.unwrap();
        log.end_round(LANE, id, LaneSequence(u64::from(round)))
            .await
            .unwrap();
        println!("a round ended");
        fail::cfg("snapshot::mid", "return").unwrap();
    }
}

/// The limit on the size of files stands for a disk that fails in the midst of a commit.
#[tokio::test]
async fn a_failed_write_closes_the_log_and_loses_nothing_acknowledged() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path(), &["orders"]).unwrap());
    let shell = "trap '' XFSZ; ulimit -f 128; ";
    let (output, printed) = child::run("crash::a_child_cannot_write", dir.path(), shell);
    assert!(output.status.success(), "{printed}");
    let acknowledged = printed.matches(" is acknowledged").count();
    assert!(acknowledged > 0, "{printed}");

    let log = open(dir.path(), &["orders"]).unwrap();
    let left = names(&log).await;
    // The one whose outcome is unknown may be there, nothing after it.
    assert!(
        left.len() == acknowledged || left.len() == acknowledged + 1,
        "{left:?}"
    );
    append(&log, &["later"]).await;
}

#[tokio::test]
async fn a_child_cannot_write() {
    let Some(dir) = child::dir() else { return };
    let log = open(&dir, &["orders"]).unwrap();
    let error = append_until_failure(&log).await;
    assert!(matches!(error, AppendError::Unknown { .. }), "{error:?}");
    let reason = log.health().unwrap_err();
    assert!(
        reason.contains("closed for writing: a write failed"),
        "{reason}"
    );
    assert!(
        log.open_writer(LANE, Announcement::default())
            .await
            .is_err()
    );
    let mut other = log.follow_lane(LANE, From::Beginning).await.unwrap();
    assert!(other.next_batch(1).await.is_ok(), "reading goes on");
}

async fn append_until_failure(log: &Embedded) -> AppendError {
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for n in 0.. {
        let batch = commands(log.topology(), LANE, &orders(), [n.to_string()]);
        match writer.append(batch).await {
            Ok(_) => println!("{n} is acknowledged"),
            Err(error) => return error,
        }
    }
    unreachable!("the limit is reached")
}

#[test]
fn nothing_is_visible_before_the_sync() {
    let dir = TempDir::new().unwrap();
    let (output, printed) = child::run("crash::a_child_holds_its_commit", dir.path(), "");
    assert!(
        output.status.success() && printed.contains("held and let go"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_holds_its_commit() {
    let Some(dir) = child::dir() else { return };
    let log = Arc::new(open(&dir, &["orders"]).unwrap());
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let (arrive, arrived) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let sides = Mutex::new((arrive, wait));
    fail::cfg_callback("log::before_commit", move || {
        let (arrive, wait) = &*sides.lock().unwrap();
        arrive.send(()).unwrap();
        wait.recv().unwrap();
    })
    .unwrap();
    let batch = commands(log.topology(), LANE, &orders(), ["a"]);
    let appending = tokio::spawn(async move { writer.append(batch).await });
    tokio::task::spawn_blocking(move || arrived.recv().unwrap())
        .await
        .unwrap();

    assert_eq!(
        log.heads(LANE).await.unwrap().lane_sequence,
        LaneSequence(0)
    );
    tokio::select! {
        biased;
        early = follower.next_batch(1) => panic!("visible too early: {early:?}"),
        () = std::future::ready(()) => assert!(!appending.is_finished()),
    }
    go.send(()).unwrap();
    appending.await.unwrap().unwrap();
    assert_eq!(follower.next_batch(1).await.unwrap().len(), 1);
    println!("held and let go");
}
