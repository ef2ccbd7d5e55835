//! Laws of closing a log and opening it again.

use super::{
    Harness,
    given::{
        LANE, append, at, commands, context, contexts, ids, numbers, opened, orders, payments,
        read_context, read_lane,
    },
};
use crate::Announcement;

/// Events, sequences and epochs outlive the process that wrote them.
pub async fn what_was_appended_is_there_after_reopening(harness: &dyn Harness) {
    let site = harness.site();
    let (topology, epoch) = {
        let log = opened(site.as_ref()).await;
        let topology = log.topology().clone();
        let mut writer = log
            .open_writer(LANE, Announcement::default())
            .await
            .unwrap();
        let mut batch = commands(&topology, LANE, &orders(), ["a", "b"]);
        batch.extend(commands(&topology, LANE, &payments(), ["c"]));
        writer.append(batch).await.unwrap();
        (topology, writer.epoch())
    };
    let log = opened(site.as_ref()).await;
    assert_eq!(*log.topology(), topology);
    assert_eq!(log.heads(LANE).await.unwrap().sequences, numbers([2, 1, 0]));
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    assert!(writer.epoch() > epoch, "an epoch is given out once");
    let appended = writer
        .append(commands(&topology, LANE, &orders(), ["d"]))
        .await;
    assert_eq!(appended.unwrap().sequences, numbers([3]));
    assert_eq!(
        ids(&read_lane(log.as_ref(), LANE).await),
        ["a", "b", "c", "d"]
    );
}

/// A binary that lacks a context of the log is refused, and told which one.
pub async fn a_log_does_not_open_without_one_of_its_contexts(harness: &dyn Harness) {
    let site = harness.site();
    drop(opened(site.as_ref()).await);
    let fewer: Vec<_> = contexts()
        .into_iter()
        .filter(|name| *name != payments())
        .collect();
    match site.open(&fewer).await {
        Ok(_) => panic!("the log opened without `payments`"),
        Err(error) => assert!(error.to_string().contains("`payments`"), "{error}"),
    }
    // The refusal changed nothing.
    assert_eq!(opened(site.as_ref()).await.topology().contexts, contexts());
}

/// A context that a newer binary brings is added, and its partitions start at 1.
pub async fn a_new_context_starts_at_one(harness: &dyn Harness) {
    let site = harness.site();
    {
        let log = opened(site.as_ref()).await;
        append(
            log.as_ref(),
            LANE,
            commands(log.topology(), LANE, &orders(), ["a"]),
        )
        .await;
    }
    // In another order than the log's, which stays.
    let new = context("a-new-one");
    let mut more = vec![new.clone()];
    more.extend(contexts());
    let log = match site.open(&more).await {
        Ok(log) => log,
        Err(error) => panic!("the log does not open with more contexts: {error}"),
    };
    let mut expected = contexts();
    expected.push(new.clone());
    assert_eq!(log.topology().contexts, expected);
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    assert_eq!(writer.heads().sequences, numbers([1, 0, 0, 0]));
    let appended = writer
        .append(commands(log.topology(), LANE, &new, ["b"]))
        .await
        .unwrap();
    assert_eq!(
        (appended.sequences, appended.lane_sequence),
        (numbers([1]), at(2))
    );
    assert_eq!(ids(&read_lane(log.as_ref(), LANE).await), ["a", "b"]);
    let partition = read_context(log.as_ref(), &new, LANE).await.unwrap();
    assert_eq!(ids(&partition), ["b"]);
}
