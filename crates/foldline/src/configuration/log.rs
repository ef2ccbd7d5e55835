//! What a node is told of its log.

use std::{collections::BTreeMap, time::Duration};

use foldline_event_log::{embedded, kafka};
use foldline_kernel::Context;
use serde::{Deserialize, Serialize, Serializer};

/// The log: embedded in the data directory, or on Kafka where `[log.kafka]` is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// The number of lanes of a new log, a power of two: 8 embedded and 64 on Kafka unless given;
    /// an existing log keeps its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u16>,
    /// Where the log is on Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSettings>,
}

/// A log on Kafka.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// Where the cluster is: `host:port`, one or several with commas between.
    pub brokers: String,
    /// What every topic's name begins with, one prefix per environment; the application's name
    /// and a dot unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_prefix: Option<String>,
    /// How many copies of each topic that is made; three, or as many as there are brokers, unless
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<u16>,
    /// How long a transaction may take; a writer that is gone holds readers up for that long.
    pub transaction_timeout_ms: u64,
    /// How long a node may say nothing before its lanes are given to others; brokers take no less
    /// than their `group.min.session.timeout.ms`.
    pub session_timeout_ms: u64,
    /// How long a request to the cluster may take, retries included.
    pub request_timeout_ms: u64,
    /// Properties of librdkafka by their names, for every client: security, compression.
    #[serde(serialize_with = "without_secrets")]
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            brokers: String::new(),
            topic_prefix: None,
            replication: None,
            transaction_timeout_ms: millis(kafka::Settings::TRANSACTION_TIMEOUT),
            session_timeout_ms: millis(kafka::Settings::SESSION_TIMEOUT),
            request_timeout_ms: millis(kafka::Settings::REQUEST_TIMEOUT),
            properties: BTreeMap::new(),
        }
    }
}

impl LogSettings {
    pub(crate) fn embedded(&self, name: Context, contexts: Vec<Context>) -> embedded::Settings {
        embedded::Settings {
            name,
            lanes: self.lanes.unwrap_or(embedded::Settings::LANES),
            contexts,
        }
    }

    pub(crate) fn kafka(&self, kafka: &KafkaSettings, name: Context) -> kafka::Settings {
        let usual = kafka::Settings::new(name, kafka.brokers.clone());
        kafka::Settings {
            topic_prefix: kafka.topic_prefix.clone().unwrap_or(usual.topic_prefix),
            properties: kafka.properties.clone(),
            replication: kafka.replication,
            lanes: self.lanes.unwrap_or(usual.lanes),
            transaction_timeout: Duration::from_millis(kafka.transaction_timeout_ms),
            session_timeout: Duration::from_millis(kafka.session_timeout_ms),
            request_timeout: Duration::from_millis(kafka.request_timeout_ms),
            ..usual
        }
    }
}

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

/// A configuration is printed and served; what opens a cluster to others is not.
fn without_secrets<S: Serializer>(
    properties: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = properties.iter().map(|(property, value)| {
        let value = if is_secret(property) { HIDDEN } else { value };
        (property, value)
    });
    serializer.collect_map(shown)
}

/// Tells whether a property of librdkafka holds a secret: passwords, private keys, tokens.
fn is_secret(property: &str) -> bool {
    let is_key = property.ends_with(".pem") && !property.contains("certificate");
    let secret = |word: &str| property.contains(word);
    is_key || secret("password") || secret("secret") || property == "sasl.oauthbearer.config"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let properties = [
            ("sasl.username", "market"),
            ("sasl.password", "s3cret"),
            ("ssl.key.pem", "s3cret"),
            ("ssl.keystore.password", "s3cret"),
            ("sasl.oauthbearer.client.secret", "s3cret"),
            ("ssl.certificate.pem", "public"),
        ];
        let settings = KafkaSettings {
            brokers: "localhost:9092".into(),
            properties: properties
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..KafkaSettings::default()
        };
        let shown = serde_json::to_string(&settings).expect("plain data");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(
            shown.contains(r#""ssl.certificate.pem":"public""#),
            "{shown}"
        );
        assert!(shown.contains(r#""sasl.username":"market""#), "{shown}");
    }
}
