//! What a program says of its log on Kafka.

use std::{collections::BTreeMap, time::Duration};

use foldline_kernel::Context;

use super::OpenError;

/// How to reach a log on Kafka, and what to make where there is none.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's name, the first part of every event's `source`.
    pub name: Context,
    /// Where the cluster is: `host:port`, one or several with commas between.
    pub brokers: String,
    /// What every topic's name begins with: one log per prefix, one prefix per environment.
    pub topic_prefix: String,
    /// Properties of librdkafka, for every client: security, compression, timeouts.
    ///
    /// The few that the log's promises rest on are refused; [`OpenError::Property`] says which.
    pub properties: BTreeMap<String, String>,
    /// How many copies of each topic that is made; unless given, three or as many as there are
    /// brokers.
    pub replication: Option<u16>,
    /// The number of lanes of a log that is created; an existing log keeps its own.
    pub lanes: u16,
    /// How long a transaction may take; a writer that is gone holds readers up for that long.
    pub transaction_timeout: Duration,
    /// How long a node may say nothing before its lanes are given to others.
    pub session_timeout: Duration,
    /// How long one request may take altogether, retries included.
    pub request_timeout: Duration,
}

impl Settings {
    /// The number of lanes of a log on Kafka unless configured.
    pub const LANES: u16 = 64;
    /// How long a transaction may take unless configured.
    pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
    /// How long a node may say nothing unless configured; brokers take no less unless told to.
    pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
    /// How long a request may take unless configured.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

    /// Says that a log of this name is on these brokers, everything else as usual.
    pub fn new(name: Context, brokers: impl Into<String>) -> Self {
        let topic_prefix = format!("{name}.");
        Self {
            name,
            brokers: brokers.into(),
            topic_prefix,
            properties: BTreeMap::new(),
            replication: None,
            lanes: Self::LANES,
            transaction_timeout: Self::TRANSACTION_TIMEOUT,
            session_timeout: Self::SESSION_TIMEOUT,
            request_timeout: Self::REQUEST_TIMEOUT,
        }
    }

    /// The largest batch of records that this program sends, with what surrounds it.
    pub(crate) fn record_bytes_max(&self) -> u64 {
        let configured = self.properties.get("message.max.bytes");
        configured
            .and_then(|value| value.parse().ok())
            .unwrap_or(RECORD_BYTES_MAX)
    }

    /// Refuses what the adapter has to decide itself, and what this build cannot do.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        for (property, value) in &self.properties {
            let refused = refusal(property).or_else(|| missing_tls(property, value));
            if let Some(reason) = refused {
                return Err(OpenError::Property {
                    property: property.clone(),
                    reason: reason.to_owned(),
                });
            }
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.topic_prefix.len() > PREFIX_MAX || !self.topic_prefix.chars().all(allowed) {
            return Err(OpenError::Prefix(self.topic_prefix.clone()));
        }
        Ok(())
    }
}

/// librdkafka's own bound, unless configured.
const RECORD_BYTES_MAX: u64 = 1_000_000;

/// Topic names have at most 249 characters, of which a context takes up to 48.
const PREFIX_MAX: usize = 200;

/// Says why a property is not the user's to set.
fn refusal(property: &str) -> Option<&'static str> {
    Some(match property {
        "bootstrap.servers" | "metadata.broker.list" => "give the brokers as such",
        "enable.idempotence" | "acks" | "request.required.acks" | "enable.gapless.guarantee" => {
            "an append is durable on all copies and takes effect once, or it is no append"
        }
        "transactional.id" => "it is the log's id and the lane: that is how writers are fenced",
        "transaction.timeout.ms" => "give it as the log's own transaction timeout",
        "delivery.report.only.error" | "partitioner" => "the adapter relies on its own",
        "isolation.level" => "readers see what is committed and nothing else",
        "auto.offset.reset" => "a place that is not there is told, never replaced by another one",
        "session.timeout.ms" => "give it as the log's own session timeout",
        "partition.assignment.strategy" | "heartbeat.interval.ms" => {
            "lanes are handed over as the adapter arranges it"
        }
        "group.id"
        | "group.instance.id"
        | "group.protocol"
        | "enable.auto.commit"
        | "enable.auto.offset.store"
        | "auto.commit.enable" => {
            "checkpoints are kept with what was made of the events, not by a consumer group"
        }
        "enable.partition.eof" | "allow.auto.create.topics" => "the adapter relies on its own",
        "test.mock.num.brokers" => "a cluster that only pretends keeps nothing",
        _ => return None,
    })
}

/// Says what a property would need that was not built in.
fn missing_tls(property: &str, value: &str) -> Option<&'static str> {
    if cfg!(feature = "kafka-tls") {
        return None;
    }
    let value = value.to_ascii_uppercase();
    let needs = match property {
        "security.protocol" => value.ends_with("SSL"),
        "sasl.mechanism" | "sasl.mechanisms" => value != "PLAIN",
        "enable.ssl.certificate.verification" => true,
        _ => property.starts_with("ssl."),
    };
    needs.then_some(
        "this program was built without TLS, which SASL's SCRAM and OAUTHBEARER need too; \
         build it with the feature `kafka-tls`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(property: &str, value: &str) -> Result<(), OpenError> {
        let mut settings = Settings::new("market".parse().unwrap(), "localhost:9092");
        settings
            .properties
            .insert(property.to_owned(), value.to_owned());
        settings.check()
    }

    #[test]
    fn what_the_promises_rest_on_is_refused_with_the_reason() {
        let refused = with("isolation.level", "read_uncommitted").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the Kafka property `isolation.level` cannot be set: readers see what is committed \
             and nothing else"
        );
        for (property, value) in [("acks", "1"), ("transactional.id", "mine")] {
            assert!(with(property, value).is_err(), "{property}");
        }
        for (property, value) in [
            ("compression.type", "zstd"),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.password", "secret"),
        ] {
            assert!(with(property, value).is_ok(), "{property}");
        }
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn what_needs_tls_says_so() {
        for (property, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("ssl.ca.location", "/etc/ca.pem"),
        ] {
            let refused = with(property, value).unwrap_err().to_string();
            assert!(refused.contains("`kafka-tls`"), "{refused}");
        }
    }

    #[test]
    fn a_prefix_is_what_topics_can_be_named() {
        let mut settings = Settings::new("market".parse().unwrap(), "localhost:9092");
        assert_eq!(settings.topic_prefix, "market.");
        settings.topic_prefix = "market/".into();
        assert!(matches!(settings.check(), Err(OpenError::Prefix(_))));
    }
}
