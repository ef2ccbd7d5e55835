//! Reading a log that is larger than one chunk, one stretch and what is kept in memory.

use foldline_event_log::{Announcement, Embedded, EventLog, From, conformance::commands};
use foldline_kernel::{Context, LaneSequence, Sequence};
use tempfile::TempDir;

use crate::{LANE, open, orders, read};

/// One event in 50 is of the sparse context.
const EVENTS: u64 = 10_000;
const EVERY: u64 = 50;

fn sparse() -> Context {
    "sparse".parse().unwrap()
}

async fn fill(log: &Embedded) {
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for n in (1..=EVENTS).step_by(EVERY as usize) {
        let rest = (n + 1..n + EVERY).map(|n| n.to_string());
        let mut batch = commands(log.topology(), LANE, &sparse(), [n.to_string()]);
        batch.extend(commands(log.topology(), LANE, &orders(), rest));
        writer.append(batch).await.unwrap();
    }
}

#[tokio::test]
async fn a_sparse_context_is_found_at_any_sequence() {
    let dir = TempDir::new().unwrap();
    fill(&open(dir.path(), &["orders", "sparse"]).unwrap()).await;
    let log = open(dir.path(), &["orders", "sparse"]).unwrap();
    for sequence in [1, 2, 3, 99, 100, 150, 199, 200] {
        let from = From::Sequence(Sequence(sequence));
        let mut follower = log.follow(&sparse(), LANE, from).await.unwrap();
        let before = follower.checkpoint().clone();
        assert_eq!(before.sequence(&sparse()), Sequence(sequence - 1));
        let first = &follower.next_batch(1).await.unwrap()[0];
        assert_eq!(first.sequence, Sequence(sequence));
        assert_eq!(
            first.lane_sequence,
            LaneSequence((sequence - 1) * EVERY + 1)
        );
        // The place before it is one to go on from, too.
        let mut again = log
            .follow(&sparse(), LANE, From::After(before))
            .await
            .unwrap();
        assert_eq!(again.next_batch(1).await.unwrap()[0].record, first.record);
    }
}

#[tokio::test]
async fn a_follower_passes_from_the_store_to_memory_without_a_gap() {
    let dir = TempDir::new().unwrap();
    fill(&open(dir.path(), &["orders", "sparse"]).unwrap()).await;
    let log = open(dir.path(), &["orders", "sparse"]).unwrap();
    let mut behind = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let first = behind.next_batch(10).await.unwrap();
    assert_eq!(first.len(), 10);
    fill(&log).await;
    let mut seen = first.len() as u64;
    while seen < 2 * EVENTS {
        for event in behind.next_batch(100).await.unwrap() {
            seen += 1;
            assert_eq!(event.lane_sequence, LaneSequence(seen));
        }
    }
    assert_eq!(read(&log).await.len() as u64, 2 * EVENTS);
}
