//! Commands to read a topic with the usual clients.

use serde::Serialize;

use super::description::Described;

/// How one client reads a topic.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pub(super) client: &'static str,
    pub(super) text: String,
}

/// Writes the samples for one topic; each reads what is committed, from the beginning.
pub(super) fn of(brokers: &str, prefix: &str, topic: &Described) -> Vec<Sample> {
    let name = &topic.name;
    let context = name.strip_prefix(prefix).unwrap_or(name);
    // SQL takes no dashes in names.
    let table = context.replace(['-', '.'], "_");
    let sample = |client, text| Sample { client, text };
    vec![
        sample("kcat", kcat(brokers, name)),
        sample("kafka-console-consumer", console(brokers, name)),
        sample("Python, confluent-kafka", python(brokers, name)),
        sample("ClickHouse", clickhouse(brokers, name, &table)),
        sample("ksqlDB", ksqldb(name, &table)),
    ]
}

fn kcat(brokers: &str, topic: &str) -> String {
    format!(
        "kcat -C -b {brokers} -t {topic} -o beginning -e -X isolation.level=read_committed \
         -f '%p %k %s\\n'"
    )
}

fn console(brokers: &str, topic: &str) -> String {
    format!(
        "kafka-console-consumer.sh --bootstrap-server {brokers} --topic {topic} --from-beginning \
         --isolation-level read_committed"
    )
}

fn python(brokers: &str, topic: &str) -> String {
    format!(
        r#"import json
from confluent_kafka import Consumer

consumer = Consumer({{
    "bootstrap.servers": "{brokers}",
    "group.id": "reader-of-{topic}",
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
}})
consumer.subscribe(["{topic}"])
while True:
    record = consumer.poll(1.0)
    if record is not None and record.error() is None:
        event = json.loads(record.value())
        print(event["type"], event["subject"], event["data"])"#
    )
}

fn clickhouse(brokers: &str, topic: &str, table: &str) -> String {
    format!(
        "CREATE TABLE {table}_queue (event String)
  ENGINE = Kafka('{brokers}', '{topic}', 'clickhouse-{table}', 'JSONAsString');
CREATE TABLE {table} (id UUID, type String, subject UUID, event String)
  ENGINE = ReplacingMergeTree ORDER BY id;
CREATE MATERIALIZED VIEW {table}_reader TO {table} AS SELECT
  toUUID(JSONExtractString(event, 'id')) AS id, JSONExtractString(event, 'type') AS type,
  toUUID(JSONExtractString(event, 'subject')) AS subject, event FROM {table}_queue;"
    )
}

fn ksqldb(topic: &str, table: &str) -> String {
    format!(
        "SET 'auto.offset.reset' = 'earliest';
SET 'processing.guarantee' = 'exactly_once_v2';
CREATE STREAM {table} (user_id VARCHAR KEY, `id` VARCHAR, `type` VARCHAR, `data` VARCHAR)
  WITH (KAFKA_TOPIC = '{topic}', KEY_FORMAT = 'KAFKA', VALUE_FORMAT = 'JSON');"
    )
}
