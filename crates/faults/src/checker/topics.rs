//! Reads all topics, as anybody could: a plain consumer of committed records.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use serde::Deserialize;

use super::event::Event;
use crate::cluster::PREFIX;

/// How long reading may stand still.
const STILL_MAX: Duration = Duration::from_secs(30);
/// How long one question takes at most.
const ASK_MAX: Duration = Duration::from_secs(10);
/// How long one look for a record waits.
const LOOK: Duration = Duration::from_millis(100);

/// The topics of the marketplace that hold events.
const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];

/// The topic in which writers say that they own a lane.
const LANES: &str = "lanes";

/// Everything that a committed reader sees.
#[derive(Debug, Default)]
pub struct Topics {
    /// The events, partition by partition in the order of their offsets.
    pub events: Vec<Event>,
    /// What writers say of themselves: lane, kind, epoch, in the order of their offsets.
    pub owners: Vec<(u16, Owner)>,
    /// Records that cannot be read.
    pub unreadable: Vec<String>,
}

/// A record of the topic of the lanes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Owner {
    /// `announced` or `alive`.
    pub kind: String,
    /// The generation of the writer.
    pub epoch: u64,
}

impl Topics {
    /// Reads all that is committed now, once no transaction is open. It blocks.
    ///
    /// # Errors
    /// When the broker cannot be reached, reading stands still, or a transaction stays open.
    pub fn read(broker: &str, lanes: u16) -> Result<Self> {
        until_decided(broker, lanes)?;
        let mut topics = Self::default();
        for name in names() {
            topics.read_topic(&consumer(broker, "read_committed")?, name, lanes)?;
        }
        Ok(topics)
    }

    fn read_topic(&mut self, consumer: &BaseConsumer, name: &str, lanes: u16) -> Result<()> {
        let topic = format!("{PREFIX}{name}");
        let mut all = TopicPartitionList::new();
        for partition in 0..lanes {
            all.add_partition_offset(&topic, partition.into(), Offset::Beginning)?;
        }
        consumer.assign(&all)?;
        let context = Arc::from(name);
        let mut ended = BTreeSet::new();
        let mut heard = Instant::now();
        while ended.len() < usize::from(lanes) {
            match consumer.poll(LOOK) {
                Some(Ok(record)) => self.take(&context, &record)?,
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) if heard.elapsed() > STILL_MAX => return Err(error.into()),
                None if heard.elapsed() > STILL_MAX => bail!("reading `{topic}` stands still"),
                Some(Err(_)) | None => continue,
            }
            heard = Instant::now();
        }
        Ok(())
    }

    fn take(&mut self, context: &Arc<str>, record: &BorrowedMessage<'_>) -> Result<()> {
        let partition = u16::try_from(record.partition())?;
        let (key, value) = (record.key(), record.payload().unwrap_or_default());
        if &**context == LANES {
            let owner = serde_json::from_slice(value).context("a record of `lanes`")?;
            self.owners.push((partition, owner));
            return Ok(());
        }
        match Event::read(context, partition, key.unwrap_or_default(), value) {
            Ok(event) => self.events.push(event),
            Err(trouble) => self.unreadable.push(format!(
                "{context}/{partition} at offset {}: {trouble}",
                record.offset()
            )),
        }
        Ok(())
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    CONTEXTS.into_iter().chain([LANES])
}

fn consumer(broker: &str, isolation: &str) -> Result<BaseConsumer> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "faults-checker")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .create()?)
}

/// Waits until every record of the topics is committed or aborted: until then a committed reader
/// does not see what comes after.
fn until_decided(broker: &str, lanes: u16) -> Result<()> {
    let committed = consumer(broker, "read_committed")?;
    let all = consumer(broker, "read_uncommitted")?;
    let began = Instant::now();
    for name in names() {
        let topic = format!("{PREFIX}{name}");
        for partition in 0..i32::from(lanes) {
            let end = |of: &BaseConsumer| of.fetch_watermarks(&topic, partition, ASK_MAX);
            while end(&committed)?.1 != end(&all)?.1 {
                if began.elapsed() > STILL_MAX {
                    bail!("`{topic}`/{partition}: a transaction stays open");
                }
                std::thread::sleep(LOOK);
            }
        }
    }
    Ok(())
}
