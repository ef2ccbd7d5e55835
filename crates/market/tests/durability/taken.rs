//! One data directory, one node.

use std::time::{Duration, Instant};

use crate::{check::assert_whole, load::Person, node::Node};

/// The first node may be just about to let go, so the second one looks for a moment.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_on_the_same_data_ends_at_once_and_says_why() {
    let _alone = crate::alone().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let first = Node::start(&data).await;
    let mut person = Person::new(1);
    let before = person
        .next()
        .send(&first.client, &first.url)
        .await
        .expect("an answer");

    let begun = Instant::now();
    let mut second = Node::spawn(&data, &[]);
    let ended = second.until_ended(REFUSED_WITHIN).await;
    println!(
        "the second node ended after {:?}:\n{}",
        begun.elapsed(),
        ended.output
    );
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    let sentence = "is in use by another process; stop that one, or talk to it over HTTP";
    assert!(ended.output.contains(sentence), "{}", ended.output);
    assert!(
        ended.output.contains(&data.display().to_string()),
        "{}",
        ended.output
    );

    let after = person
        .next()
        .send(&first.client, &first.url)
        .await
        .expect("an answer");
    assert_whole(&first, &[before, after]).await;
}
