//! A whole import into a fresh node, and the same import again.

use crate::dataset::Olist;
use crate::expected::Expected;
use crate::history::History;
use crate::log::Log;
use crate::node::{Node, Summary};
use crate::queries::assert_every_row;

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_every_read_model_follows_from_the_files() {
    let _alone = crate::alone().await;
    let olist = Olist::find();
    let history = History::of(&olist);
    let expected = Expected::of(&history);
    let data = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&data.path().join("node")).await;

    let first = node.import(&olist.dir);
    println!("first import: {first:?}");
    assert_eq!(first.accepted, history.facts.len() as u64, "{first:?}");
    assert_eq!(first.already_known, 0, "{first:?}");
    assert_decided(&first, &history);
    let log = Log::of(&node);
    assert_eq!(log.events(), history.events());
    log.assert_sound();
    node.until_caught_up().await;
    assert_every_row(&node, &expected).await;
    node.assert_verified();

    let second = node.import(&olist.dir);
    println!("second import: {second:?}");
    assert_eq!(second.accepted, 0, "{second:?}");
    assert_eq!(
        second.already_known,
        history.facts.len() as u64,
        "{second:?}"
    );
    assert_decided(&second, &history);
    assert!(
        Log::of(&node).0 == log.0,
        "the second import changed the log"
    );
    node.until_caught_up().await;
    assert_every_row(&node, &expected).await;
    node.assert_verified();
}

/// Every command of the history was sent, and the rules refused what they had to.
pub(crate) fn assert_decided(summary: &Summary, history: &History) {
    assert_eq!(summary.sent, history.sent, "{summary:?}");
    let refused = summary
        .refused
        .iter()
        .map(|(code, count)| (code.as_str(), *count));
    assert!(
        refused.eq(history.refused.iter().map(|(code, n)| (*code, *n))),
        "{summary:?}"
    );
    assert!(summary.seconds > 0.0, "{summary:?}");
}
