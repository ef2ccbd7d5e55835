//! Opening: topics made once, checked always, and a log for each prefix.

use foldline_event_log::{
    Announcement, EventLog,
    conformance::{LANES, commands},
    kafka::{KafkaLog, OpenError},
};
use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};

use crate::{
    LANE, contexts,
    ground::{Ground, admin, topics},
    raw::{Raw, write},
};

/// Why a log with some topic made beforehand is not opened.
async fn refusal(topic: &str, partitions: i32, config: &[(&str, &str)]) -> (String, String) {
    let ground = Ground::new();
    let name = format!("{}{topic}", ground.prefix);
    let mut new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (key, value) in config {
        new = new.set(key, value);
    }
    let made = admin().create_topics([&new], &AdminOptions::new()).await;
    assert!(made.unwrap()[0].is_ok());
    let refused = ground.open(&contexts()).await.unwrap_err();
    (name, refused.to_string())
}

#[tokio::test]
async fn a_wrong_topic_is_refused_with_the_command_that_mends_it() {
    let kept = ("retention.ms", "-1");
    let all = ("retention.bytes", "-1");
    let lanes = i32::from(LANES);
    for (config, trouble, mended) in [
        (
            vec![all],
            "has retention.ms=604800000, and has to have -1",
            "retention.ms=-1",
        ),
        (
            vec![kept, ("retention.bytes", "1000")],
            "has retention.bytes=1000, and has to have -1",
            "retention.bytes=-1",
        ),
        (
            vec![kept, all, ("cleanup.policy", "compact")],
            "has cleanup.policy=compact, and has to have delete",
            "cleanup.policy=delete",
        ),
        (
            vec![kept, all, ("unclean.leader.election.enable", "true")],
            "has unclean.leader.election.enable=true, and has to have false",
            "unclean.leader.election.enable=false",
        ),
        (
            vec![kept, all, ("max.message.bytes", "1000")],
            "has max.message.bytes=1000, and has to have at least 1000000",
            "max.message.bytes=1000000",
        ),
    ] {
        let (name, refused) = refusal("orders", lanes, &config).await;
        assert!(refused.contains(trouble), "{refused}");
        let command = format!("--entity-type topics --entity-name {name} --add-config {mended}`");
        assert!(refused.contains("run `kafka-configs.sh --bootstrap-server"));
        assert!(refused.ends_with(&command), "{refused}");
    }
    let (name, refused) = refusal("orders", 2, &[kept, all]).await;
    let command = format!("--alter --topic {name} --partitions {lanes}`");
    assert!(refused.contains("has 2 partitions, and has to have 4"));
    assert!(refused.ends_with(&command), "{refused}");
    let (_, refused) = refusal("lanes", 8, &[("cleanup.policy", "compact")]).await;
    assert!(refused.contains("cannot be taken away"), "{refused}");
    let (_, refused) = refusal("snapshots", lanes, &[]).await;
    assert!(refused.contains("cleanup.policy=compact`"), "{refused}");
}

#[tokio::test]
async fn a_topic_that_changed_since_is_refused_the_next_time() {
    let ground = Ground::new();
    drop(ground.open(&contexts()).await.unwrap());
    let orders = format!("{}orders", ground.prefix);
    let altered = AlterConfig::new(ResourceSpecifier::Topic(&orders))
        .set("cleanup.policy", "compact")
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1");
    let options = AdminOptions::new();
    let outcome = admin().alter_configs([&altered], &options).await.unwrap();
    assert!(outcome[0].is_ok());
    let refused = ground.open(&contexts()).await.unwrap_err().to_string();
    assert!(refused.contains("cleanup.policy"), "{refused}");
}

#[tokio::test]
async fn a_topic_that_is_gone_is_not_made_again() {
    for gone in ["payments", "lanes"] {
        let ground = Ground::new();
        drop(ground.open(&contexts()).await.unwrap());
        let name = format!("{}{gone}", ground.prefix);
        let options = AdminOptions::new();
        let deleted = admin().delete_topics(&[&name], &options).await;
        assert!(deleted.unwrap()[0].is_ok());
        while topics(&admin(), &ground.prefix).contains(&name) {}
        let refused = ground.open(&contexts()).await.unwrap_err().to_string();
        assert!(refused.contains("is gone"), "{refused}");
    }
}

#[tokio::test]
async fn records_of_something_else_are_no_new_context() {
    let ground = Ground::new();
    drop(ground.open(&contexts()[..1]).await.unwrap());
    let topic = format!("{}payments", ground.prefix);
    let new = NewTopic::new(&topic, i32::from(LANES), TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1");
    let made = admin().create_topics([&new], &AdminOptions::new()).await;
    assert!(made.unwrap()[0].is_ok());
    let (key, value) = (b"somebody's".to_vec(), b"else".to_vec());
    write(LANE, &[Raw { topic, key, value }]);
    let refused = ground.open(&contexts()).await.unwrap_err().to_string();
    assert!(
        refused.contains("records that are not this log's"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_create_a_log_at_once_agree() {
    let ground = Ground::new();
    let opening: Vec<_> = (0..4)
        .map(|n| {
            let mut settings = ground.settings();
            settings.lanes = 1 << (n + 1);
            let mut contexts = contexts();
            contexts.rotate_left(n);
            tokio::spawn(KafkaLog::open(settings, contexts))
        })
        .collect();
    let mut logs = Vec::new();
    for log in opening {
        logs.push(log.await.unwrap().unwrap());
    }
    let now = ground.open(&contexts()).await.unwrap();
    for log in &logs {
        let (here, there) = (log.topology(), now.topology());
        assert_eq!((here.log_id, here.lanes), (there.log_id, there.lanes));
        let mut names = here.contexts.clone();
        names.sort();
        let mut wanted = contexts();
        wanted.sort();
        assert_eq!(names, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_of_different_prefixes_know_nothing_of_each_other() {
    let (one, two) = (Ground::new(), Ground::new());
    let first = one.open(&contexts()).await.unwrap();
    let second = two.open(&contexts()).await.unwrap();
    assert_ne!(first.topology().log_id, second.topology().log_id);
    let announcement = Announcement::default;
    let mut writer = first.open_writer(LANE, announcement()).await.unwrap();
    let mut other = second.open_writer(LANE, announcement()).await.unwrap();
    let batch = commands(first.topology(), LANE, &contexts()[0], ["a"]);
    writer.append(batch).await.unwrap();
    other.append(vec![]).await.unwrap();
    assert_eq!(second.heads(LANE).await.unwrap().lane_sequence.0, 0);
    assert_eq!(first.heads(LANE).await.unwrap().lane_sequence.0, 1);
}

#[tokio::test]
async fn a_log_of_another_name_or_context_is_refused() {
    let ground = Ground::new();
    drop(ground.open(&contexts()).await.unwrap());
    let mut settings = ground.settings();
    settings.name = "bazaar".parse().unwrap();
    let refused = KafkaLog::open(settings, contexts()).await.unwrap_err();
    assert!(matches!(refused, OpenError::OtherName { .. }), "{refused}");
    let reserved = vec!["lanes".parse().unwrap()];
    let refused = ground.open(&reserved).await.unwrap_err();
    assert!(refused.to_string().contains("`lanes`"), "{refused}");
}

#[tokio::test]
async fn a_property_that_is_none_is_named() {
    let ground = Ground::new();
    let mut settings = ground.settings();
    let none = ("no.such.property".to_owned(), "1".to_owned());
    settings.properties.extend([none]);
    let refused = KafkaLog::open(settings, contexts()).await.unwrap_err();
    assert!(
        refused.to_string().contains("`no.such.property`"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_unavailable_within_the_bound() {
    let mut settings = Ground::new().settings();
    settings.brokers = "127.0.0.1:1".into();
    settings.request_timeout = std::time::Duration::from_millis(300);
    let refused = KafkaLog::open(settings, contexts()).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Unavailable { .. }),
        "{refused}"
    );
}
