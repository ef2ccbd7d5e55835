//! The topics of a test: a prefix of its own on a real Kafka, and what others do with them.

use std::{path::Path, process::Command};

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::programs::{python, well};

/// Where Kafka is, and what the names of a test's topics begin with; they go with it.
pub(crate) struct Topics {
    pub(crate) kafka: String,
    pub(crate) prefix: String,
}

/// A record as confluent-kafka reads it, with what the CloudEvents SDK makes of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) partition: u16,
    pub(crate) key: String,
    pub(crate) headers: Value,
    pub(crate) value: String,
    pub(crate) event: Value,
}

impl Topics {
    /// Names topics that nobody else has.
    pub(crate) fn unique() -> Self {
        let kafka = std::env::var("FOLDLINE_TEST_KAFKA").unwrap_or_else(|_| {
            panic!(
                "FOLDLINE_TEST_KAFKA does not say where Kafka is: \
                 `export $(cargo xtask services up kafka)` starts one and says it"
            )
        });
        let prefix = format!("test-{}.", Uuid::new_v4().simple());
        Self { kafka, prefix }
    }

    pub(crate) fn name(&self, context: &str) -> String {
        format!("{}{context}", self.prefix)
    }

    /// `clients.py`, told what to do.
    fn clients(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topics/clients.py");
        let mut command = python();
        command.arg(script).arg(&self.kafka).args(arguments);
        command
    }

    /// Reads topics from the beginning to the end with confluent-kafka.
    pub(crate) fn read(&self, isolation: &str, contexts: &[&str]) -> Vec<Record> {
        let names: Vec<_> = contexts.iter().map(|context| self.name(context)).collect();
        let mut command = self.clients(&["read", isolation]);
        let printed = well(command.args(names), "");
        let records = printed.lines().map(serde_json::from_str);
        records.collect::<Result<_, _>>().expect("records as JSON")
    }

    /// Where the Java clients' partitioner sends keys, as librdkafka has it.
    pub(crate) fn partitions_of(&self, keys: &[&str], partitions: u16) -> Value {
        let (topic, partitions) = (self.name("keys"), partitions.to_string());
        let mut command = self.clients(&["partitions", &topic, &partitions]);
        let printed = well(&mut command, &keys.join("\n"));
        serde_json::from_str(&printed).expect("JSON")
    }

    /// Writes events into a topic of one partition that is made for them.
    pub(crate) fn write(&self, topic: &str, events: &[Value]) {
        let lines: Vec<_> = events.iter().map(Value::to_string).collect();
        well(&mut self.clients(&["write", topic]), &lines.join("\n"));
    }

    /// Writes what looks like an event in a transaction that is aborted.
    pub(crate) fn abort(&self, context: &str, partition: u16, event: &Value) {
        let (topic, partition) = (self.name(context), partition.to_string());
        let mut command = self.clients(&["abort", &topic, &partition]);
        well(&mut command, &event.to_string());
    }

    pub(crate) fn configure(&self, context: &str, name: &str, value: &str) {
        let topic = self.name(context);
        well(&mut self.clients(&["configure", &topic, name, value]), "");
    }

    /// The names of the topics that there are.
    pub(crate) fn names(&self) -> Vec<String> {
        let printed = well(&mut self.clients(&["names", &self.prefix]), "");
        serde_json::from_str(&printed).expect("JSON")
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        // They would only take room; a test that fails has something better to say.
        let _ = self.clients(&["delete", &self.prefix]).output();
    }
}
