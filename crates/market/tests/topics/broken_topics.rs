//! What `market topics` finds wrong, and that a look changes nothing.

use serde_json::Value;

use crate::{
    node::{Node, json, printed, tool},
    topics::Topics,
};

#[test]
fn a_look_where_there_is_no_log_makes_none() {
    let topics = Topics::unique();
    let of_log = ["--kafka", &topics.kafka, "--topic-prefix", &topics.prefix];
    let said = json(&tool(&[&["topics", "--json"], &of_log[..]].concat()), 1);
    assert_eq!(said["log"]["id"], Value::Null, "{said:#}");
    let said = printed(&tool(&[&["topics"], &of_log[..]].concat()), 1);
    assert!(said.contains("there is no log"), "{said}");
    assert!(topics.names().is_empty());
}

#[tokio::test]
async fn a_topic_that_would_lose_events_is_told_with_what_mends_it() {
    let topics = Topics::unique();
    let node = Node::start(&topics).await;
    let of_log = ["--kafka", &topics.kafka, "--topic-prefix", &topics.prefix];
    let look = [&["topics"], &of_log[..]].concat();
    printed(&tool(&look), 0);
    topics.configure("payments", "retention.ms", "604800000");
    let said = printed(&tool(&look), 1);
    for words in [
        "retention.ms=604800000, and has to have -1",
        "kafka-configs.sh",
        "--add-config retention.ms=-1",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    let wrong = said.lines().filter(|line| line.contains("WRONG"));
    assert_eq!(wrong.count(), 1, "{said}");
    drop(node);
}
