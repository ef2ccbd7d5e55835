//! Writers: fencing, what a transaction that was left open becomes, and how long things take.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use foldline_event_log::{
    Announcement, AppendError, EventLog, From, OpenWriterError, conformance::commands,
    kafka::KafkaLog,
};
use foldline_kernel::{Lane, LaneSequence};
use foldline_schema::Event;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::{
    LANE, contexts,
    ground::{Ground, TIMEOUT, client},
    raw,
};

/// What one commit may take; `rdkafka`'s own takes 100 ms whenever a record is on its way.
const COMMIT_MAX: Duration = Duration::from_millis(50);

/// What eight lanes may take to open together; one after another they would take longer, and so
/// would one that asks for its coordinator too early, twice in a row.
const EIGHT_LANES_MAX: Duration = Duration::from_secs(2);

async fn append(log: &KafkaLog, names: &[&str]) {
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for name in names {
        let batch = commands(log.topology(), LANE, &contexts()[0], [name]);
        writer.append(batch).await.unwrap();
    }
}

async fn read(log: &KafkaLog, count: u64) -> Vec<Arc<Event>> {
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let mut events = Vec::new();
    while (events.len() as u64) < count {
        let batch = tokio::time::timeout(TIMEOUT, follower.next_batch(100)).await;
        events.extend(batch.unwrap().unwrap());
    }
    events
}

/// A producer with the lane's own id, as a writer of another process has it.
fn zombie(log: &KafkaLog) -> ThreadedProducer<DefaultProducerContext> {
    let id = format!("{}-{LANE}", log.topology().log_id);
    let producer: ThreadedProducer<_> = client().set("transactional.id", id).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_writer_with_an_open_transaction_leaves_nothing() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    append(&log, &["a"]).await;
    let topic = format!("{}orders", ground.prefix);
    // It has sent its events, and is stopped before it commits.
    let paused = zombie(&log);
    paused.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&topic)
        .partition(i32::from(LANE.0))
        .payload("{\"never\":\"seen\"}");
    paused.send(record).map_err(|(error, _)| error).unwrap();
    paused.flush(TIMEOUT).unwrap();

    let begun = Instant::now();
    append(&log, &["b"]).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "readers waited for {took:?}");
    assert!(paused.commit_transaction(TIMEOUT).is_err(), "it was fenced");
    let events = read(&log, 2).await;
    let names: Vec<_> = events
        .iter()
        .map(|event| event.command_id.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(events[1].epoch.0, 2, "epochs are counted by announcements");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_of_another_process_is_fenced_and_one_of_each_lane_is_left() {
    let ground = Ground::new();
    let mut writers = Vec::new();
    for _ in 0..3 {
        let log = ground.open(&contexts()).await.unwrap();
        let opened = log.open_writer(LANE, Announcement::default()).await;
        writers.push((log, opened.unwrap()));
    }
    let epochs: Vec<_> = writers.iter().map(|(_, writer)| writer.epoch().0).collect();
    assert_eq!(epochs, [1, 2, 3]);
    for (log, writer) in &mut writers[..2] {
        let batch = commands(log.topology(), LANE, &contexts()[0], ["late"]);
        let fenced = writer.append(batch).await.unwrap_err();
        assert!(matches!(fenced, AppendError::Fenced { .. }), "{fenced:?}");
        let again = writer.append(vec![]).await.unwrap_err();
        assert!(
            matches!(again, AppendError::Unavailable { .. }),
            "{again:?}"
        );
    }
    let (_, last) = &mut writers[2];
    last.append(vec![]).await.unwrap();
    assert_eq!(last.heads().lane_sequence, LaneSequence(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_takes_milliseconds() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let mut took = Vec::new();
    for n in 0..40 {
        let batch = commands(log.topology(), LANE, &contexts()[0], [n.to_string()]);
        let begun = Instant::now();
        writer.append(batch).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort();
    let median = took[took.len() / 2];
    assert!(median < COMMIT_MAX, "{median:?}, all of them {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_lanes_open_together() {
    let ground = Ground::new();
    let mut settings = ground.settings();
    settings.lanes = 8;
    let log = KafkaLog::open(settings, contexts()).await.unwrap();
    for lane in 0..2 {
        // Connections and the coordinator's own topic are there.
        let opened = log.open_writer(Lane(lane), Announcement::default()).await;
        drop(opened.unwrap());
    }
    let begun = Instant::now();
    let opening: Vec<_> = (0..8)
        .map(|lane| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let opened = log.open_writer(Lane(lane), Announcement::default()).await;
                opened.map(|writer| writer.epoch())
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
    let took = begun.elapsed();
    assert!(took < EIGHT_LANES_MAX, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_too_large_leaves_nothing_and_is_certain() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let mut batch = commands(log.topology(), LANE, &contexts()[0], ["small", "large"]);
    batch[1].data = format!("\"{}\"", "x".repeat(1_100_000)).into();
    let refused = writer.append(batch).await.unwrap_err();
    assert!(
        matches!(refused, AppendError::Unavailable { .. }),
        "{refused:?}"
    );
    append(&log, &["next"]).await;
    assert_eq!(read(&log, 1).await[0].command_id.as_str(), "next");
    assert_eq!(log.heads(LANE).await.unwrap().lane_sequence.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_announced_for_whoever_reads_the_lanes() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let announcement = Announcement {
        address: Some("http://127.0.0.1:8080".into()),
    };
    let mut writer = log.open_writer(LANE, announcement).await.unwrap();
    writer.append(vec![]).await.unwrap();
    let records = raw::records(&format!("{}lanes", ground.prefix), LANE);
    let values: Vec<_> = records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.value))
        .collect();
    let rest = r#""epoch":1,"address":"http://127.0.0.1:8080"}"#;
    assert_eq!(
        values,
        [
            format!(r#"{{"format":1,"kind":"announced",{rest}"#),
            format!(r#"{{"format":1,"kind":"alive",{rest}"#)
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_lacks_a_context_opens_no_lane_any_more() {
    let ground = Ground::new();
    let old = ground.open(&contexts()[..1]).await.unwrap();
    append(&old, &["a"]).await;
    let new = ground.open(&contexts()).await.unwrap();
    let mut writer = new
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let batch = commands(new.topology(), LANE, &contexts()[1], ["b"]);
    writer.append(batch).await.unwrap();
    let refused = match old.open_writer(LANE, Announcement::default()).await {
        Err(OpenWriterError::Unavailable { source, .. }) => source.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it would give out lane sequence 2 again"),
    };
    assert!(refused.contains("`payments`"), "{refused}");
    // Nor does it take the newer one's events for a gap.
    let batch = commands(new.topology(), LANE, &contexts()[0], ["c"]);
    writer.append(batch).await.unwrap();
    let heads = old.heads(LANE).await.unwrap_err();
    let text = format!("{heads:?}");
    assert!(text.contains("`payments`"), "{text}");
}
