//! Following: cursors that are believed only where they are right, gaps in offsets, records out of
//! place, and lanes that one consumer serves.

use std::sync::Arc;

use foldline_event_log::{
    Announcement, Corruption, EventLog, FollowError, Follower, From, conformance::commands,
    kafka::KafkaLog,
};
use foldline_kernel::{Checkpoint, Lane, LaneSequence, Sequence};
use foldline_schema::Event;

use rdkafka::{Offset, TopicPartitionList, admin::AdminOptions};

use crate::{
    LANE, contexts,
    ground::{Ground, TIMEOUT, admin},
    raw,
};

/// Appends one event of each context in turn, two to a transaction.
async fn fill(log: &KafkaLog, lane: Lane, events: usize) {
    let mut writer = log
        .open_writer(lane, Announcement::default())
        .await
        .unwrap();
    for n in (0..events).step_by(2) {
        let pair = [n, n + 1].map(|n| {
            let context = &contexts()[n % 3];
            commands(log.topology(), lane, context, [n.to_string()])
        });
        writer.append(pair.concat()).await.unwrap();
    }
}

async fn next(follower: &mut dyn Follower, count: usize) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = follower.next_batch(count - events.len());
        let batch = tokio::time::timeout(TIMEOUT, batch).await;
        events.extend(batch.expect("events in time").unwrap());
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_is_believed_only_where_it_is_right() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    fill(&log, LANE, 60).await;
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    next(follower.as_mut(), 31).await;
    let checkpoint = follower.checkpoint().clone();
    let cursor = checkpoint.cursor.clone().unwrap();
    assert!(cursor.starts_with("orders="), "{cursor}");
    let wrong = "orders=2,payments=900000,reviews=0";
    let cursors = [Some(cursor.as_str()), None, Some(wrong), Some("nonsense")];
    for cursor in cursors {
        let from = Checkpoint {
            cursor: cursor.map(str::to_owned),
            ..checkpoint.clone()
        };
        let mut again = log.follow_lane(LANE, From::After(from)).await.unwrap();
        let events = next(again.as_mut(), 29).await;
        assert_eq!(events[0].lane_sequence, LaneSequence(32), "{cursor:?}");
        assert_eq!(again.checkpoint().lane_sequence, LaneSequence(60));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_found_among_gaps_of_any_length() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let orders = &contexts()[0];
    for n in 0..40_u32 {
        let names = (0..(n % 7) * 60 + 1).map(|m| format!("{n}-{m}"));
        let batch = commands(log.topology(), LANE, orders, names);
        writer.append(batch).await.unwrap();
    }
    let last = writer.heads().lane_sequence.0;
    for at in [1, 2, 3, 61, 62, 63, last / 2, last - 1, last] {
        let from = From::Sequence(Sequence(at));
        let mut follower = log.follow(orders, LANE, from).await.unwrap();
        assert_eq!(follower.checkpoint().lane_sequence, LaneSequence(at - 1));
        let first = &next(follower.as_mut(), 1).await[0];
        assert_eq!(first.sequence, Sequence(at));
        let from = From::LaneSequence(LaneSequence(at));
        let mut follower = log.follow_lane(LANE, from).await.unwrap();
        let first = &next(follower.as_mut(), 1).await[0];
        assert_eq!(first.lane_sequence, LaneSequence(at));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_many_lanes_pass_from_their_own_reading_to_the_common_one() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let lanes: Vec<Lane> = log.topology().all_lanes().collect();
    for lane in &lanes {
        fill(&log, *lane, 20).await;
    }
    let reading: Vec<_> = lanes
        .iter()
        .flat_map(|lane| [(*lane, true), (*lane, false)])
        .map(|(lane, whole)| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let beginning = From::Beginning;
                let (mut follower, count) = if whole {
                    (log.follow_lane(lane, beginning).await.unwrap(), 60)
                } else {
                    let orders = &contexts()[0];
                    (log.follow(orders, lane, beginning).await.unwrap(), 20)
                };
                next(follower.as_mut(), count).await.len()
            })
        })
        .collect();
    for lane in &lanes {
        fill(&log, *lane, 20).await;
        fill(&log, *lane, 20).await;
    }
    for read in reading {
        assert!(read.await.unwrap() >= 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_lost_its_beginning_is_told() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    fill(&log, LANE, 30).await;
    let mut kept = TopicPartitionList::new();
    let orders = format!("{}orders", ground.prefix);
    kept.add_partition_offset(&orders, i32::from(LANE.0), Offset::Offset(4))
        .unwrap();
    let deleted = admin().delete_records(&kept, &AdminOptions::new()).await;
    deleted.unwrap();
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let stopped = tokio::time::timeout(TIMEOUT, follower.next_batch(1)).await;
    match stopped.expect("it stops in time") {
        Err(FollowError::Corrupt { corruption, .. }) => {
            let told = corruption.to_string();
            assert!(told.contains("lost its beginning"), "{told}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_out_of_place_stops_whoever_meets_it_and_nobody_else() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    fill(&log, LANE, 6).await;
    let mut lane = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let payments = contexts()[1].clone();
    let mut partition = log.follow(&payments, LANE, From::Beginning).await.unwrap();
    next(lane.as_mut(), 6).await;
    next(partition.as_mut(), 2).await;
    // An event that is there already comes once more, behind the log's back.
    let orders = format!("{}orders", ground.prefix);
    let repeated = raw::records(&orders, LANE).remove(1);
    raw::write(LANE, &[repeated]);
    let stopped = tokio::time::timeout(TIMEOUT, lane.next_batch(1)).await;
    match stopped.expect("it stops in time") {
        Err(FollowError::Corrupt { corruption, .. }) => {
            assert!(
                matches!(corruption, Corruption::Sequence { .. }),
                "{corruption:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(1), partition.next_batch(1));
    assert!(waiting.await.is_err(), "payments have nothing new");
}
