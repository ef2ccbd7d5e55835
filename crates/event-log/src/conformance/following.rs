//! Laws of following: to the tail, in one order, and only from a place that is this log's.

use std::sync::Arc;

use foldline_kernel::{Checkpoint, LogId, Sequence};
use uuid::Uuid;

use super::{
    Harness,
    given::{
        LANE, OTHER_LANE, append, assert_waits, at, commands, context, contexts, ids, opened,
        orders, payments, read_context, read_lane, read_to_tail, within,
    },
};
use crate::{
    Announcement, Corruption, EventLog, FollowError, Follower, From,
    faulty::{AppendFault, Faulty, Gate},
};

/// A follower gives all there is up to the tail, and then nothing until there is more.
pub async fn a_follower_reads_to_the_tail_and_waits_there(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let names: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &orders(), &names),
    )
    .await;
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    assert_eq!(follower.heads().lane_sequence, at(300));
    let events = read_to_tail(follower.as_mut()).await.unwrap();
    assert_eq!(ids(&events), names);
    assert_eq!(follower.checkpoint().lane_sequence, at(300));
    assert_eq!(follower.checkpoint().sequence(&orders()), Sequence(300));
    assert_waits(follower.as_mut()).await;
}

/// A follower that waits at the tail is woken by the next event of its context.
pub async fn a_waiting_follower_is_woken(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let mut lane = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let mut partition = log
        .follow(&payments(), LANE, From::Beginning)
        .await
        .unwrap();
    let waiting = tokio::spawn(async move {
        // The second may have come as well by the time this one runs.
        let lane = lane.next_batch(1).await.unwrap();
        let partition = partition.next_batch(10).await.unwrap();
        (ids(&lane).join(" "), ids(&partition).join(" "))
    });
    tokio::task::yield_now().await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &orders(), ["a"]),
    )
    .await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &payments(), ["b"]),
    )
    .await;
    let woken = within("the woken followers", waiting).await.unwrap();
    assert_eq!(woken, ("a".into(), "b".into()));
}

/// A `next_batch` that is dropped before it returns loses no event.
pub async fn a_follower_that_is_dropped_midway_loses_nothing(harness: &dyn Harness) {
    let site = harness.site();
    let names: Vec<_> = (0..3000).map(|n| n.to_string()).collect();
    {
        let log = opened(site.as_ref()).await;
        append(
            log.as_ref(),
            LANE,
            commands(log.topology(), LANE, &orders(), &names),
        )
        .await;
    }
    // Opened anew, so that the events come from storage and not from memory.
    let log = opened(site.as_ref()).await;
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let mut events = Vec::new();
    while events.len() < names.len() {
        tokio::select! {
            biased;
            batch = follower.next_batch(10) => events.extend(batch.unwrap()),
            () = std::future::ready(()) => tokio::task::yield_now().await,
        }
        assert_eq!(follower.checkpoint().lane_sequence, at(events.len() as u64));
    }
    assert_eq!(ids(&events), names);
}

/// Followers that come early and late, of lanes and of contexts, see one order of events.
pub async fn every_follower_sees_the_same_events(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let mut early = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let writing = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut writer = log
                .open_writer(LANE, Announcement::default())
                .await
                .unwrap();
            for n in 0..200 {
                let context = &contexts()[n % 3];
                let names = (0..=n % 4).map(|m| format!("{n}-{m}"));
                let batch = commands(log.topology(), LANE, context, names);
                writer.append(batch).await.unwrap();
            }
        })
    };
    let mut seen = Vec::new();
    while seen.len() < 500 {
        seen.extend(
            within("the next events", early.next_batch(64))
                .await
                .unwrap(),
        );
    }
    within("the end of the writer", writing).await.unwrap();
    let late = read_lane(log.as_ref(), LANE).await;
    assert_eq!(ids(&seen), ids(&late));
    for context in contexts() {
        let of_context: Vec<_> = seen
            .iter()
            .filter(|event| event.context == context)
            .cloned()
            .collect();
        let partition = read_context(log.as_ref(), &context, LANE).await.unwrap();
        assert_eq!(ids(&partition), ids(&of_context));
        assert!(
            partition
                .iter()
                .zip(&of_context)
                .all(|(a, b)| a.record == b.record)
        );
    }
}

/// An event that is still being appended is seen by nobody.
pub async fn nothing_is_seen_before_it_is_durable(harness: &dyn Harness) {
    let site = harness.site();
    let (log, faults) = Faulty::new(opened(site.as_ref()).await);
    let log = Arc::new(log);
    let (before, after) = (Gate::default(), Gate::default());
    faults.on_append(LANE, AppendFault::HeldBefore(before.clone()));
    faults.on_append(LANE, AppendFault::HeldAfter(after.clone()));
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let writing = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut writer = log
                .open_writer(LANE, Announcement::default())
                .await
                .unwrap();
            for name in ["a", "b"] {
                let batch = commands(log.topology(), LANE, &orders(), [name]);
                writer.append(batch).await.unwrap();
            }
        })
    };
    within("the first append", before.arrived()).await;
    assert_eq!(log.heads(LANE).await.unwrap().lane_sequence, at(0));
    assert_waits(follower.as_mut()).await;
    before.open();
    // The second is durable and not yet answered: it may be seen, and nothing else.
    within("the second append", after.arrived()).await;
    assert_eq!(
        ids(&read_to_tail(follower.as_mut()).await.unwrap()),
        ["a", "b"]
    );
    after.open();
    within("the end of the writer", writing).await.unwrap();
}

/// A checkpoint of another log, or of another lane, is corrupt.
pub async fn a_checkpoint_of_another_log_is_refused(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &orders(), ["a"]),
    )
    .await;
    let other_log = Checkpoint::beginning(LogId(Uuid::from_u128(1)), LANE);
    let other_lane = Checkpoint::beginning(log.topology().log_id, OTHER_LANE);
    for checkpoint in [other_log, other_lane] {
        for refused in refusals(log.as_ref(), From::After(checkpoint)).await {
            assert_eq!(refused, Corruption::OtherLog);
        }
    }
}

/// A place beyond the tail is corrupt, never a reason to wait; the tail itself is none.
pub async fn a_place_beyond_the_tail_is_refused(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &orders(), ["a", "b"]),
    )
    .await;
    let mut checkpoint = Checkpoint::beginning(log.topology().log_id, LANE);
    checkpoint.advance(&orders(), Sequence(2), at(2));
    let mut at_tail = log
        .follow_lane(LANE, From::After(checkpoint.clone()))
        .await
        .unwrap();
    assert_waits(at_tail.as_mut()).await;
    let mut next = log
        .follow(&orders(), LANE, From::Sequence(Sequence(3)))
        .await
        .unwrap();
    assert_waits(next.as_mut()).await;

    checkpoint.advance(&orders(), Sequence(3), at(3));
    for refused in refusals(log.as_ref(), From::After(checkpoint)).await {
        assert_eq!(refused, Corruption::BeyondTail(at(2)));
    }
    let beyond = log
        .follow(&orders(), LANE, From::Sequence(Sequence(4)))
        .await;
    assert_eq!(corruption(beyond), Corruption::BeyondTail(at(2)));
    let beyond = log.follow_lane(LANE, From::LaneSequence(at(4))).await;
    assert_eq!(corruption(beyond), Corruption::BeyondTail(at(2)));
}

/// A checkpoint that leaves out a context of the lane cannot be gone on from for the whole lane.
pub async fn a_lane_is_not_followed_from_a_checkpoint_of_some_contexts(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &orders(), ["a"]),
    )
    .await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &payments(), ["b"]),
    )
    .await;
    let mut partition = log
        .follow(&payments(), LANE, From::Beginning)
        .await
        .unwrap();
    within("the event", partition.next_batch(1)).await.unwrap();
    let some = From::After(partition.checkpoint().clone());
    let refused = log.follow_lane(LANE, some.clone()).await;
    assert_eq!(corruption(refused), Corruption::OtherContexts(orders()));
    let refused = log.follow(&orders(), LANE, some).await;
    assert_eq!(corruption(refused), Corruption::OtherContexts(orders()));

    let mut lane = log.follow_lane(LANE, From::Beginning).await.unwrap();
    read_to_tail(lane.as_mut()).await.unwrap();
    let whole = From::After(lane.checkpoint().clone());
    assert!(log.follow(&orders(), LANE, whole.clone()).await.is_ok());
    // A context without events is covered by a checkpoint that covers everything else.
    assert!(log.follow(&context("reviews"), LANE, whole).await.is_ok());
}

/// Returns why neither a lane nor a context is followed from a place.
async fn refusals(log: &dyn EventLog, from: From) -> [Corruption; 2] {
    [
        corruption(log.follow_lane(LANE, from.clone()).await),
        corruption(log.follow(&orders(), LANE, from).await),
    ]
}

fn corruption(followed: Result<Box<dyn Follower>, FollowError>) -> Corruption {
    match followed.map(|_| "a follower") {
        Err(FollowError::Corrupt { corruption, .. }) => corruption,
        other => panic!("it should have been refused as corrupt: {other:?}"),
    }
}
