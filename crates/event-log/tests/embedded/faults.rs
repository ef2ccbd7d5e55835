//! Faults on events: what a reader's corrupted input looks like.

use std::sync::Arc;

use foldline_event_log::{
    Announcement, EventLog, From,
    faulty::{AppendFault, EventFault, Faulty, OpenFault},
};
use foldline_kernel::LaneSequence;
use tempfile::TempDir;

use crate::{LANE, append, open};

#[tokio::test]
async fn events_are_skipped_doubled_and_swapped_on_their_way() {
    let dir = TempDir::new().unwrap();
    let log = Arc::new(open(dir.path(), &["orders"]).unwrap());
    append(&log, &["1", "2", "3", "4", "5", "6"]).await;
    let (log, faults) = Faulty::new(log);
    let planned = [
        (2, EventFault::Skip),
        (3, EventFault::Double),
        (4, EventFault::SwapWithNext),
    ];
    for (at, fault) in planned {
        faults.on_event(LANE, LaneSequence(at), fault);
    }
    // One event at a time or all at once: the faults are the same.
    for limit in [1, 3, 100] {
        assert_eq!(seen(&log, limit).await, "1 3 3 5 4 6");
    }
    faults.clear();
    assert_eq!(seen(&log, 2).await, "1 2 3 4 5 6");
}

async fn seen(log: &Faulty, limit: usize) -> String {
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let mut seen = Vec::new();
    while follower.checkpoint().lane_sequence < follower.heads().lane_sequence {
        let batch = follower.next_batch(limit).await.unwrap();
        seen.extend(batch.iter().map(|event| event.command_id.to_string()));
    }
    seen.join(" ")
}

#[tokio::test]
async fn planned_faults_are_met_in_turn_and_counted() {
    let dir = TempDir::new().unwrap();
    let (log, faults) = Faulty::new(Arc::new(open(dir.path(), &["orders"]).unwrap()));
    faults.on_open_writer(LANE, OpenFault::Unavailable);
    faults.on_append(LANE, AppendFault::Full);
    assert_eq!(faults.waiting(), 2);
    assert!(
        log.open_writer(LANE, Announcement::default())
            .await
            .is_err()
    );
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    assert!(writer.append(vec![]).await.is_err());
    // A full log is no reason to give the writer up.
    assert!(writer.append(vec![]).await.is_ok());
    assert_eq!(faults.waiting(), 0);
}
