//! Laws of appending, and of who may.

use std::sync::Arc;

use foldline_kernel::Lane;

use super::{
    Harness,
    given::{
        LANE, OTHER_LANE, append, at, commands, context, event, ids, lane_sequences, numbers,
        opened, orders, payments, read_context, read_lane, sequences, within,
    },
};
use crate::{Announcement, AppendError, EventLog, faulty::Gate};

/// Sequences are gapless per partition and per lane, over several contexts and appends.
pub async fn sequences_of_both_kinds_are_gapless_over_contexts(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let topology = log.topology();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let mut first = commands(topology, LANE, &orders(), ["a", "b"]);
    first.extend(commands(topology, LANE, &payments(), ["c"]));
    first.extend(commands(topology, LANE, &orders(), ["d"]));
    let appended = writer.append(first).await.unwrap();
    assert_eq!(appended.sequences, numbers([1, 2, 1, 3]));
    assert_eq!(appended.lane_sequence, at(4));
    let second = commands(topology, LANE, &payments(), ["e"]);
    let appended = writer.append(second).await.unwrap();
    assert_eq!(appended.sequences, numbers([2]));
    assert_eq!(writer.heads().lane_sequence, at(5));
    assert_eq!(writer.heads().sequences, numbers([3, 2, 0]));
    assert_eq!(log.heads(LANE).await.unwrap(), *writer.heads());

    let lane = read_lane(log.as_ref(), LANE).await;
    assert_eq!(ids(&lane), ["a", "b", "c", "d", "e"]);
    assert_eq!(lane_sequences(&lane), [1, 2, 3, 4, 5]);
    let payments = read_context(log.as_ref(), &payments(), LANE).await.unwrap();
    assert_eq!(sequences(&payments), [1, 2]);
    assert_eq!(lane_sequences(&payments), [3, 5]);
    assert!(read_lane(log.as_ref(), OTHER_LANE).await.is_empty());
}

/// A batch that cannot be appended as a whole leaves nothing, and its writer goes on.
pub async fn a_batch_is_all_or_nothing_over_contexts(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let topology = log.topology();
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let unknown = event(topology, LANE, &context("unheard-of"), "b", (1, 1));
    let elsewhere = event(topology, OTHER_LANE, &orders(), "b", (1, 1));
    let torn = event(topology, LANE, &orders(), "b", (1, 2));
    let late = event(topology, LANE, &orders(), "b", (2, 2));
    for bad in [unknown, elsewhere, torn, late] {
        let mut batch = commands(topology, LANE, &payments(), ["a"]);
        batch.push(bad);
        let refused = writer.append(batch).await.unwrap_err();
        assert!(
            matches!(refused, AppendError::Unavailable { .. }),
            "{refused:?}"
        );
        assert_eq!(log.heads(LANE).await.unwrap().lane_sequence, at(0));
    }
    let mut whole = commands(topology, LANE, &payments(), ["c"]);
    whole.push(event(topology, LANE, &orders(), "d", (1, 2)));
    whole.push(event(topology, LANE, &orders(), "d", (2, 2)));
    writer.append(whole).await.unwrap();
    assert_eq!(ids(&read_lane(log.as_ref(), LANE).await), ["c", "d", "d"]);
}

/// An empty batch proves ownership and changes nothing; it fails once the writer is replaced.
pub async fn an_empty_batch_takes_no_sequence(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    writer
        .append(commands(log.topology(), LANE, &orders(), ["a"]))
        .await
        .unwrap();
    let proof = writer.append(vec![]).await.unwrap();
    assert!(proof.sequences.is_empty());
    assert_eq!(proof.lane_sequence, at(1));
    let appended = writer
        .append(commands(log.topology(), LANE, &orders(), ["b"]))
        .await;
    assert_eq!(appended.unwrap().lane_sequence, at(2));

    let _newer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let refused = writer.append(vec![]).await.unwrap_err();
    assert!(matches!(refused, AppendError::Fenced { .. }), "{refused:?}");
}

/// Appends of many lanes at once all become durable, each lane in its own order.
pub async fn lanes_do_not_wait_for_each_other(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let lanes: Vec<Lane> = log.topology().all_lanes().collect();
    let tasks: Vec<_> = lanes
        .iter()
        .map(|&lane| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut writer = log
                    .open_writer(lane, Announcement::default())
                    .await
                    .unwrap();
                for n in 0..50 {
                    let batch = commands(log.topology(), lane, &orders(), [format!("{lane}-{n}")]);
                    writer.append(batch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        within("the end of a writer", task).await.unwrap();
    }
    for lane in lanes {
        let expected: Vec<_> = (0..50).map(|n| format!("{lane}-{n}")).collect();
        assert_eq!(ids(&read_lane(log.as_ref(), lane).await), expected);
    }
}

/// After a new writer is open, the old one is fenced and nothing of it becomes visible.
pub async fn a_replaced_writer_is_fenced_and_leaves_nothing(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let mut old = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    old.append(commands(log.topology(), LANE, &orders(), ["a"]))
        .await
        .unwrap();
    let mut new = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    assert!(new.epoch() > old.epoch());
    assert_eq!(new.heads(), old.heads());

    let late = old
        .append(commands(log.topology(), LANE, &orders(), ["late"]))
        .await;
    let fenced = late.unwrap_err();
    assert!(matches!(fenced, AppendError::Fenced { .. }), "{fenced:?}");
    assert_eq!(log.heads(LANE).await.unwrap().lane_sequence, at(1));
    new.append(commands(log.topology(), LANE, &orders(), ["b"]))
        .await
        .unwrap();
    let events = read_lane(log.as_ref(), LANE).await;
    assert_eq!(ids(&events), ["a", "b"]);
    assert_eq!(events[1].epoch, new.epoch());
    let other = log
        .open_writer(OTHER_LANE, Announcement::default())
        .await
        .unwrap();
    assert_eq!(
        other.heads().lane_sequence,
        at(0),
        "lanes are fenced one by one"
    );
}

/// An append under way when a new writer opens is within that writer's heads, or never there.
pub async fn an_append_in_flight_is_before_the_new_writer_or_never(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    let started = Gate::default();
    let old = {
        let (log, started) = (Arc::clone(&log), started.clone());
        tokio::spawn(async move { append_until_fenced(log.as_ref(), &started).await })
    };
    started.arrived().await;
    let mut new = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    let taken_over = new.heads().lane_sequence;
    let acknowledged = within("the fencing of the old writer", old).await.unwrap();
    // The last append may have become durable, and its answer been lost to the new writer.
    assert!(
        (acknowledged..=acknowledged + 1).contains(&taken_over.0),
        "{acknowledged} were acknowledged, the new writer begins after {taken_over}"
    );
    new.append(commands(log.topology(), LANE, &orders(), ["new"]))
        .await
        .unwrap();

    let events = read_lane(log.as_ref(), LANE).await;
    assert_eq!(events.len() as u64, taken_over.0 + 1);
    let after: Vec<_> = events
        .iter()
        .filter(|event| event.lane_sequence > taken_over)
        .collect();
    assert!(after.iter().all(|event| event.epoch == new.epoch()));
}

/// Appends one event after another and returns how many were acknowledged.
async fn append_until_fenced(log: &dyn EventLog, started: &Gate) -> u64 {
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for n in 0.. {
        if n == 20 {
            started.open();
            started.pass().await;
        }
        let batch = commands(log.topology(), LANE, &orders(), [format!("old-{n}")]);
        match writer.append(batch).await {
            Ok(_) => {}
            Err(AppendError::Fenced { .. } | AppendError::Unknown { .. }) => return n,
            Err(error) => panic!("neither appended nor replaced: {error:?}"),
        }
    }
    unreachable!("the loop has no end of its own")
}

/// An append whose caller gave up is in the log whole or not at all; the next writer knows.
pub async fn an_append_that_was_given_up_is_whole_or_absent(harness: &dyn Harness) {
    let site = harness.site();
    let log = opened(site.as_ref()).await;
    for n in 0..20 {
        let mut writer = log
            .open_writer(LANE, Announcement::default())
            .await
            .unwrap();
        let before = writer.heads().lane_sequence.0;
        let mut batch = commands(log.topology(), LANE, &orders(), [format!("{n}-a")]);
        batch.extend(commands(
            log.topology(),
            LANE,
            &payments(),
            [format!("{n}-b")],
        ));
        tokio::select! {
            biased;
            _ = writer.append(batch) => {}
            () = std::future::ready(()) => {}
        }
        let next = log
            .open_writer(LANE, Announcement::default())
            .await
            .unwrap();
        let appended = next.heads().lane_sequence.0 - before;
        assert!(appended == 0 || appended == 2, "{appended} of 2 events");
    }
    read_lane(log.as_ref(), LANE).await;
    append(
        log.as_ref(),
        LANE,
        commands(log.topology(), LANE, &orders(), ["last"]),
    )
    .await;
}
