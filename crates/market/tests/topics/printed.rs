//! What `market topics` says where no cluster is looked at.

use serde_json::Value;

use crate::node::{json, printed, tool};

#[test]
fn topics_are_described_without_a_cluster() {
    let said = printed(&tool(&["topics"]), 0);
    for words in [
        "market.orders ",
        "64 partitions",
        "cleanup.policy=delete",
        "retention.ms=-1",
        "murmur2(key)",
        "content-type, ce_type, ce_id",
        "order.placed.v1              schemas/order.placed.v1.json",
        "schemas/product.listed.v1.json (older shape)",
        "market.snapshots",
        "cleanup.policy=compact",
        "isolation.level=read_committed",
        "kcat -C -b localhost:9092 -t market.accounts ",
        "kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic market.accounts ",
        "from confluent_kafka import Consumer",
        "ENGINE = Kafka(",
        "CREATE STREAM accounts ",
        "market schema --asyncapi",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert!(!said.contains('@'), "no position is known\n{said}");
}

#[test]
fn one_context_is_described_alone() {
    let said = printed(
        &tool(&["topics", "orders", "--topic-prefix", "staging."]),
        0,
    );
    assert!(said.contains("staging.orders"), "{said}");
    assert!(said.contains("-t staging.orders "), "{said}");
    assert!(!said.contains("staging.payments"), "{said}");
    let output = tool(&["topics", "complaints"]);
    assert_eq!(output.status.code(), Some(1));
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(complained.contains("`complaints`"), "{complained}");
    assert!(complained.contains("orders"), "{complained}");
}

#[test]
fn machines_are_told_the_same() {
    let said = json(&tool(&["topics", "--json"]), 0);
    assert_eq!(said["prefix"], "market.");
    assert!(said.get("log").is_none(), "{said:#}");
    let topics = said["topics"].as_array().expect("topics");
    let types = topics.iter().flat_map(|topic| topic["types"].as_array());
    assert_eq!(
        types.map(Vec::len).sum::<usize>(),
        market::catalog().types().count()
    );
    for topic in topics {
        assert_eq!(topic["configuration"]["retention.ms"], "-1", "{topic:#}");
        assert_eq!(topic["found"], Value::Null, "{topic:#}");
    }
    let own = said["own_topics"].as_array().expect("topics");
    assert_eq!(own.len(), 3, "{own:#?}");
}

#[test]
fn a_cluster_that_does_not_answer_is_told_after_what_is_known_anyway() {
    let mut command = crate::node::market(&["topics", "orders"]);
    let output = command
        .env("FOLDLINE_LOG__KAFKA__BROKERS", "127.0.0.1:1")
        .env("FOLDLINE_LOG__KAFKA__REQUEST_TIMEOUT_MS", "500")
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("-b 127.0.0.1:1 -t market.orders "), "{said}");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(complained.contains("127.0.0.1:1"), "{complained}");
}
