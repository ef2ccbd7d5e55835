//! Snapshots: rounds, lanes, and that they belong to one log.

use foldline_event_log::{EventLog, Snapshot, SnapshotStore};
use foldline_kernel::{Lane, LaneSequence, LogId, UserId};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{LANE, open};

fn snapshot(user: u128, state: &str) -> Snapshot {
    Snapshot {
        user: UserId(Uuid::from_u128(user)),
        state: state.into(),
    }
}

#[tokio::test]
async fn the_last_round_that_ended_comes_back_after_reopening() {
    let dir = TempDir::new().unwrap();
    let id = {
        let log = open(dir.path(), &["orders"]).unwrap();
        let id = log.topology().log_id;
        log.put(LANE, vec![snapshot(1, "one")]).await.unwrap();
        assert_eq!(
            log.load(LANE, id).await.unwrap(),
            None,
            "no round has ended"
        );
        log.put(LANE, vec![snapshot(2, "two")]).await.unwrap();
        log.end_round(LANE, id, LaneSequence(7)).await.unwrap();
        log.put(LANE, vec![snapshot(1, "one, newer")])
            .await
            .unwrap();
        log.put(Lane(2), vec![snapshot(3, "of another lane")])
            .await
            .unwrap();
        id
    };
    let log = open(dir.path(), &["orders"]).unwrap();
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
