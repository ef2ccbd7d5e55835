//! The floors: one consumer of the same partitions, of the same settings.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use foldline_kernel::Lane;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::topics;

/// What the log's own consumers of much are set to.
const SETTINGS: [(&str, &str); 13] = [
    ("reconnect.backoff.ms", "20"),
    ("check.crcs", "true"),
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "2048"),
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.message.max.bytes", "1048576"),
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("allow.auto.create.topics", "false"),
    ("enable.metrics.push", "false"),
];

/// How long nothing may come before the run has failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Reads every record of some lanes, and parses it where it is told to.
pub(crate) async fn run(kafka: &str, lanes: &[Lane], events: u64, parse: bool) -> Result<()> {
    let (kafka, lanes) = (kafka.to_owned(), lanes.to_vec());
    tokio::task::spawn_blocking(move || read(&kafka, &lanes, events, parse)).await?
}

fn read(kafka: &str, lanes: &[Lane], events: u64, parse: bool) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka);
    config.set("group.id", "bench-reading");
    for (name, value) in SETTINGS {
        config.set(name, value);
    }
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for topic in topics::names() {
        for lane in lanes {
            assignment.add_partition_offset(&topic, lane.0.into(), Offset::Beginning)?;
        }
    }
    consumer.assign(&assignment)?;
    let (mut count, mut bytes) = (0, 0);
    while count < events {
        match consumer.poll(SILENCE_MAX) {
            Some(Ok(record)) => {
                let payload = record.payload().unwrap_or_default();
                bytes += payload.len();
                if parse {
                    let value: serde_json::Value = serde_json::from_slice(payload)?;
                    ensure!(value.is_object(), "a record that is no event");
                }
                count += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            None => bail!("{count} records of {events} came"),
        }
    }
    ensure!(bytes > 0, "records without bytes");
    Ok(())
}
