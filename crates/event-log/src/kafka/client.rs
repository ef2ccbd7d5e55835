//! Clients of the cluster, as this adapter sets them up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    admin::AdminClient,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    message::DeliveryResult,
    producer::{NoCustomPartitioner, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};

use super::{Settings, spread::Rebalancing};

/// A consumer of this adapter.
pub(crate) type Consumer = BaseConsumer<Logging>;
/// A producer of this adapter.
pub(crate) type Producer = ThreadedProducer<Deliveries>;

/// How much a producer holds at most; librdkafka's own bound is a gibibyte, for each.
const PRODUCER_KIBIBYTES_MAX: u32 = 32 << 10;
/// How often a member of a group says that it is there, and hears that the group changes.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How much a consumer reads ahead at most, in each partition.
const READ_AHEAD_KIBIBYTES_MAX: u32 = 2 << 10;
/// How many records it reads ahead before it pauses.
const READ_AHEAD_RECORDS: u32 = 20_000;
/// How long a full read-ahead pauses before it looks whether there is room again.
const READ_AHEAD_PAUSE: Duration = Duration::from_millis(5);

/// Makes clients out of the settings.
#[derive(Clone)]
pub(crate) struct Clients {
    settings: Arc<Settings>,
}

/// What a consumer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Much, in order: what a follower has to catch up with.
    Streams,
    /// What comes now, in many lanes.
    Tails,
    /// Single records, here and there.
    Places,
}

impl Clients {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    /// What the user's properties and the adapter's defaults make of every client; a default
    /// yields to a property.
    fn config(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "foldline");
        // Brokers gather no figures here; asking them for what to gather costs requests.
        config.set("enable.metrics.push", "false");
        // librdkafka connects to one more broker after half this time.
        config.set("reconnect.backoff.ms", "20");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.settings.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.settings.brokers);
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        config
    }

    /// A client for topics and their configuration.
    pub(crate) fn admin(&self) -> KafkaResult<AdminClient<Logging>> {
        AdminClient::from_config_and_context(&self.config(&[], &[]), Logging)
    }

    /// A consumer of committed records at explicit places, without a group of its own.
    ///
    /// librdkafka assigns partitions only to clients that name a group; nothing is ever
    /// committed to it.
    pub(crate) fn consumer(&self, reading: Reading, committed: bool) -> KafkaResult<Consumer> {
        let isolation = if committed {
            "read_committed"
        } else {
            "read_uncommitted"
        };
        let read_ahead = READ_AHEAD_KIBIBYTES_MAX.to_string();
        let records = READ_AHEAD_RECORDS.to_string();
        let pause = READ_AHEAD_PAUSE.as_millis().to_string();
        let mut defaults = vec![
            ("check.crcs", "true"),
            ("queued.max.messages.kbytes", read_ahead.as_str()),
            ("fetch.queue.backoff.ms", pause.as_str()),
        ];
        defaults.extend(match reading {
            Reading::Streams | Reading::Tails => [
                ("queued.min.messages", records.as_str()),
                // A partition that is added has to wait for a fetch that waits for others.
                ("fetch.wait.max.ms", "100"),
                ("fetch.message.max.bytes", "1048576"),
            ],
            Reading::Places => [
                ("queued.min.messages", "1"),
                // The end of a partition is told by a fetch that found nothing more.
                ("fetch.wait.max.ms", "1"),
                ("fetch.message.max.bytes", "65536"),
            ],
        });
        let ends = (reading != Reading::Tails).to_string();
        let group = format!("{}positions", self.settings.topic_prefix);
        let fixed = [
            ("group.id", group.as_str()),
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("enable.partition.eof", ends.as_str()),
        ];
        BaseConsumer::from_config_and_context(&self.config(&defaults, &fixed), Logging)
    }

    /// A member of the group that spreads the lanes.
    pub(crate) fn member(
        &self,
        group: &str,
        instance: Option<&str>,
        rebalancing: Rebalancing,
    ) -> KafkaResult<BaseConsumer<Rebalancing>> {
        let session = self.settings.session_timeout.as_millis().to_string();
        let heartbeat = HEARTBEAT.as_millis().to_string();
        let mut fixed = vec![
            ("group.id", group),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", session.as_str()),
            ("heartbeat.interval.ms", heartbeat.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // Nothing is read, so that it matters little where from.
            ("auto.offset.reset", "latest"),
            ("allow.auto.create.topics", "false"),
        ];
        fixed.extend(instance.map(|instance| ("group.instance.id", instance)));
        BaseConsumer::from_config_and_context(&self.config(&[], &fixed), rebalancing)
    }

    /// A producer that is fenced by the next one of the same id.
    pub(crate) fn transactional(&self, id: &str) -> KafkaResult<Producer> {
        let timeout = self.settings.transaction_timeout.as_millis().to_string();
        self.producer(&[
            ("transactional.id", id),
            ("transaction.timeout.ms", &timeout),
        ])
    }

    /// A producer whose records stand by themselves.
    pub(crate) fn plain(&self) -> KafkaResult<Producer> {
        self.producer(&[])
    }

    fn producer(&self, more: &[(&str, &str)]) -> KafkaResult<Producer> {
        let queue = PRODUCER_KIBIBYTES_MAX.to_string();
        let defaults = [
            ("queue.buffering.max.kbytes", queue.as_str()),
            // A commit flushes at once; until then a batch gathers.
            ("linger.ms", "5"),
        ];
        let mut fixed = vec![
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // Successes are told by the commit.
            ("delivery.report.only.error", "true"),
        ];
        fixed.extend_from_slice(more);
        ThreadedProducer::from_config_and_context(
            &self.config(&defaults, &fixed),
            Deliveries::default(),
        )
    }
}

/// Passes on what librdkafka has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That a consumer has read all there is comes by this way too, and is no trouble.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "kafka client");
        }
    }
}

impl ConsumerContext for Logging {}

/// Counts the records that a producer could not deliver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl Deliveries {
    /// How many records this producer has failed to deliver so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka producer");
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivery {
            self.failed.fetch_add(1, Ordering::AcqRel);
            tracing::warn!(%error, "a record was not delivered");
        }
    }
}

/// Properties are given once, for clients of every kind; those that do not concern one are no
/// news.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    if facility == "CONFWARN" {
        return;
    }
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, message, "librdkafka");
        }
    }
}
