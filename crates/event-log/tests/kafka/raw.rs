//! The topics behind the log's back: a record in the midst of a topic can only be changed by
//! writing the topic anew.

use foldline_event_log::conformance::{Damage, LANES};
use foldline_kernel::{Epoch, Lane, LaneSequence, Sequence};
use foldline_schema::{Stamp, decode, encode};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::ground::{TIMEOUT, admin, client, topics};

/// One record: its topic, key and value.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) topic: String,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

pub(crate) fn damage(prefix: &str, damage: Damage) {
    match damage {
        Damage::Flip(lane, at) => rewrite(prefix, lane, at, |mut record| {
            // Within the envelope's first braces, so that it is no JSON any more.
            record.value[0] ^= 1;
            Some(record)
        }),
        Damage::Remove(lane, at) => rewrite(prefix, lane, at, |_| None),
        Damage::Append(lane, event) => {
            let events = events(prefix, lane);
            let topic = format!("{prefix}{}", event.context);
            let of_topic = events.iter().filter(|record| record.topic == topic).count();
            let stamp = Stamp {
                sequence: Sequence(of_topic as u64 + 1),
                lane_sequence: LaneSequence(events.len() as u64 + 1),
                epoch: Epoch(1),
            };
            let key = event.subject.to_string().into_bytes();
            let value = encode(&"market".parse().unwrap(), *event, stamp).record;
            let value = value.to_vec();
            write(lane, &[Raw { topic, key, value }]);
        }
    }
}

/// Makes a topic anew without one of its records, or with another one in its place.
fn rewrite(prefix: &str, lane: Lane, at: LaneSequence, change: impl Fn(Raw) -> Option<Raw>) {
    let events = events(prefix, lane);
    let is_it = |record: &Raw| {
        let event = decode(record.value.clone().into()).unwrap();
        event.lane_sequence == at
    };
    let topic = events
        .iter()
        .find(|record| is_it(record))
        .unwrap()
        .topic
        .clone();
    let changed: Vec<Raw> = events
        .into_iter()
        .filter(|record| record.topic == topic)
        .filter_map(|record| {
            if is_it(&record) {
                change(record)
            } else {
                Some(record)
            }
        })
        .collect();
    make_anew(&topic);
    write(lane, &changed);
}

fn make_anew(topic: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (admin, options) = (admin(), AdminOptions::new());
    let new = NewTopic::new(topic, i32::from(LANES), TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1");
    runtime
        .block_on(admin.delete_topics(&[topic], &options))
        .unwrap();
    // A topic's name is free again once the broker has let go of the old one.
    let begun = std::time::Instant::now();
    loop {
        let made = runtime
            .block_on(admin.create_topics([&new], &options))
            .unwrap();
        if made[0].is_ok() {
            break;
        }
        assert!(begun.elapsed() < TIMEOUT, "{made:?}");
    }
    while !topics(&admin, topic).contains(&topic.to_owned()) {
        assert!(begun.elapsed() < TIMEOUT, "{topic} does not come back");
    }
}

/// Every committed event of a lane, topic by topic.
pub(crate) fn events(prefix: &str, lane: Lane) -> Vec<Raw> {
    let own = ["lanes", "snapshots", "topology"].map(|name| format!("{prefix}{name}"));
    topics(&admin(), prefix)
        .into_iter()
        .filter(|topic| !own.contains(topic))
        .flat_map(|topic| records(&topic, lane))
        .collect()
}

/// Every committed record of a partition.
pub(crate) fn records(topic: &str, lane: Lane) -> Vec<Raw> {
    let consumer: BaseConsumer = client()
        .set("group.id", "raw")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, i32::from(lane.0), Offset::Offset(0))
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    loop {
        match consumer.poll(TIMEOUT) {
            Some(Ok(record)) => records.push(Raw {
                topic: topic.to_owned(),
                key: record.key().unwrap_or_default().to_vec(),
                value: record.payload().unwrap_or_default().to_vec(),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => return records,
            other => panic!("{topic}: {other:?}"),
        }
    }
}

/// Writes records without a transaction.
pub(crate) fn write(lane: Lane, records: &[Raw]) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        client().set("enable.idempotence", "true").create().unwrap();
    for Raw { topic, key, value } in records {
        let record = BaseRecord::to(topic)
            .partition(i32::from(lane.0))
            .key(key)
            .payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}
