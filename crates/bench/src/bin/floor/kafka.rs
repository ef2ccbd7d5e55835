//! The same on Kafka: each request is one produced record, or one transaction of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use foldline_event_log::{embedded::Settings, kafka::commit_transaction};
use foldline_kernel::{Epoch, Lane, LaneSequence, LogId, Position, Sequence, Topology, UserId};
use foldline_schema::Stamp;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;

use crate::ready_made;

/// How long a step on the broker may take before the request has failed.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How long records are gathered: what librdkafka does unless told otherwise, and what the log's own
/// producers are set to. Other values were not tried.
const LINGER_MS: &str = "5";
/// How often a new topic is asked for its leaders.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// One record for each request.
pub(crate) struct Produced {
    topic: String,
    topology: Topology,
    record: Bytes,
    way: Way,
}

enum Way {
    /// As a plain producer does it: idempotent, `acks=all`, no transactions.
    Plain(Producer),
    /// One transaction per request, one after the other: begin, send, commit.
    Transactions(Arc<Mutex<Producer>>),
}

type Producer = ThreadedProducer<Deliveries>;

/// Where the offset of a delivered record goes.
type Delivered = oneshot::Sender<Result<i64, KafkaError>>;

/// Tells who waits for a record what has become of it.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivered>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivered: Box<Delivered>) {
        let told = match result {
            Ok(record) => Ok(record.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever has gone needs no answer.
        let _ = delivered.send(told);
    }
}

impl Produced {
    /// Creates the topic, and the producer.
    pub(crate) async fn open(brokers: &str, prefix: &str, has_transactions: bool) -> Result<Self> {
        let topic = format!("{prefix}floor-orders");
        let new = ready_made::event()?;
        let topology = Topology {
            log_id: LogId(Uuid::nil()),
            name: "market".parse()?,
            lanes: Settings::LANES,
            contexts: vec![new.context.clone()],
        };
        create(brokers, &topic, topology.lanes).await?;
        let stamp = Stamp {
            sequence: Sequence(1042),
            lane_sequence: LaneSequence(1042),
            epoch: Epoch(1),
        };
        Ok(Self {
            record: foldline_schema::encode(&topology.name, new, stamp).record,
            way: way(brokers, &topic, has_transactions)?,
            topic,
            topology,
        })
    }

    /// Puts the ready-made record into the partition of a user; `None` where that failed.
    pub(crate) async fn append(&self, user: UserId) -> Option<Position> {
        let lane = self.topology.lane_of(user);
        let offset = self.put(lane, user).await;
        let offset = offset
            .inspect_err(|error| eprintln!("lane {lane}: {error}"))
            .ok()?;
        Some(Position {
            context: self.topology.contexts[0].clone(),
            partition: lane,
            sequence: Sequence(offset.unsigned_abs()),
        })
    }

    async fn put(&self, lane: Lane, user: UserId) -> Result<i64> {
        let key = user.to_string();
        let partition = i32::from(lane.0);
        let (delivered, offset) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(delivered))
            .partition(partition)
            .key(&key)
            .payload(&self.record[..]);
        match &self.way {
            Way::Plain(producer) => producer.send(record).map_err(|(error, _)| error)?,
            Way::Transactions(producer) => {
                let producer = Arc::clone(producer).lock_owned().await;
                producer.begin_transaction()?;
                producer.send(record).map_err(|(error, _)| error)?;
                let commit = move || commit_transaction::<Deliveries, _>(&*producer);
                match tokio::task::spawn_blocking(commit).await {
                    Ok(committed) => committed?,
                    Err(_) => anyhow::bail!("the commit has panicked"),
                }
            }
        }
        Ok(offset.await??)
    }
}

fn way(brokers: &str, topic: &str, has_transactions: bool) -> Result<Way> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("enable.metrics.push", "false");
    if !has_transactions {
        config.set("linger.ms", LINGER_MS);
        return Ok(Way::Plain(config.create_with_context(Deliveries)?));
    }
    config
        .set("linger.ms", "0")
        .set("transactional.id", format!("{topic}-alone"));
    let producer = config.create_with_context::<_, Producer>(Deliveries)?;
    producer
        .init_transactions(ANSWERED_WITHIN)
        .context("no transactions")?;
    Ok(Way::Transactions(Arc::new(Mutex::new(producer))))
}

/// Creates the topic unless it is there, and waits until its partitions have leaders.
async fn create(brokers: &str, topic: &str, lanes: u16) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new = NewTopic::new(topic, lanes.into(), TopicReplication::Fixed(1));
    let made = admin.create_topics([&new], &AdminOptions::new()).await?;
    for made in made {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("the topic {topic} cannot be made: {code}"),
        }
    }
    let end = Instant::now() + ANSWERED_WITHIN;
    let client = admin.inner();
    loop {
        let found = client.fetch_metadata(Some(topic), ANSWERED_WITHIN)?;
        let partitions = found.topics().first().map_or(&[][..], |it| it.partitions());
        let leaders = partitions.iter().filter(|it| it.leader() >= 0).count();
        if leaders == usize::from(lanes) {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < end,
            "{leaders} of {lanes} partitions have leaders"
        );
        tokio::time::sleep(ASKED_EVERY).await;
    }
}
