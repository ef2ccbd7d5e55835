//! An operator stops a node that is at work.

use std::time::{Duration, Instant};

use crate::{
    check::assert_whole,
    load::{Load, accepted},
    node::{Node, until},
};

const ACCEPTED_BEFORE: u64 = 1_000;
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
const STARTED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_node_answers_what_it_took_and_keeps_it() {
    stopped_by("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_node_answers_what_it_took_and_keeps_it() {
    stopped_by("INT").await;
}

async fn stopped_by(signal: &str) {
    let _alone = crate::alone().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let mut node = Node::start(&data).await;
    let load = Load::start(&node);
    until(
        "enough commands are accepted",
        ACCEPTED_WITHIN,
        async || {
            let accepted = load.accepted();
            (accepted >= ACCEPTED_BEFORE)
                .then_some(())
                .ok_or_else(|| format!("{accepted}"))
        },
    )
    .await;

    let begun = Instant::now();
    node.signal(signal);
    let ended = node.until_ended(STOPPED_WITHIN).await;
    let stopped_after = begun.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let answers = load.end().await;
    let others: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != 201)
        .collect();
    let told = others
        .iter()
        .all(|answer| answer.status == 503 && answer.content_type == "application/problem+json");
    assert!(told, "{others:#?}");

    let begun = Instant::now();
    let node = Node::start(&data).await;
    let started_after = begun.elapsed();
    let told = accepted(answers.clone());
    println!(
        "{signal}: {} accepted, {} refused, stopped after {stopped_after:?}, started after \
              {started_after:?}",
        told.len(),
        answers.len() - told.len()
    );
    assert!(started_after < STARTED_WITHIN, "{started_after:?}");
    assert_whole(&node, &told).await;
}
