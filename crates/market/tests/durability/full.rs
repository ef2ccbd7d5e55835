//! The disk is full: the node says so, loses nothing, and takes commands again once there is room.

use std::time::Duration;

use crate::{
    check::{assert_whole, export},
    load::{Answer, Load, Person, accepted},
    node::{Node, until},
    room::room,
};

const ROOM_MIB: usize = 64;
/// Orders of this many lines have about 35 KB, so that the room is soon full.
const LINES: usize = 200;
const REFUSED: u64 = 100;
const FULL_WITHIN: Duration = Duration::from_secs(60);
const ROOM_AGAIN_WITHIN: Duration = Duration::from_secs(30);
/// The most a file may have where that stands for a write that fails, in blocks of 512 bytes or,
/// as some shells count, 1024.
const FILE_BLOCKS_MAX: u32 = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_loses_nothing() {
    let _alone = crate::alone().await;
    let Some(room) = room("full::a_full_disk_is_told_and_loses_nothing", ROOM_MIB) else {
        return;
    };
    let node = Node::start(&room.data()).await;
    let answers = fill(&node).await;
    assert_refusals(&answers, "is full: ");
    let mut told = accepted(answers);
    println!(
        "{} commands were accepted before the disk was full",
        told.len()
    );

    assert_eq!(node.get("/healthz").await.0, 200);
    let (ready, why) = node.get("/readyz").await;
    assert_eq!(ready, 503, "{why}");
    assert!(why.contains("is full: "), "{why}");
    assert!(
        export(&node, "orders").await.len() + CALLERS_MAX >= told.len(),
        "reads go on"
    );

    room.make_room();
    told.push(until_accepted(&node).await);
    until("the node is ready again", ROOM_AGAIN_WITHIN, async || {
        let (status, why) = node.get("/readyz").await;
        (status == 200).then_some(()).ok_or(why)
    })
    .await;
    node.stop().await;
    let node = Node::start(&room.data()).await;
    assert_whole(&node, &told).await;
    until_accepted(&node).await;
}

/// A write that fails midway is worse than room that is known to be short: nobody knows what the
/// disk holds then, so the log takes nothing more until it has been opened again.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_closes_the_log_and_loses_nothing() {
    let _alone = crate::alone().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    // Opened for the second time, a journal has no more than what was written to it.
    Node::start(&data).await.stop().await;
    let mut node = Node::spawn_limited(&data, FILE_BLOCKS_MAX);
    node.until_ready().await.expect("a small log fits");
    let answers = fill(&node).await;
    assert_refusals(&answers, "a write failed: ");
    let told = accepted(answers);
    println!(
        "{} commands were accepted before a write failed",
        told.len()
    );

    assert_eq!(node.get("/healthz").await.0, 200);
    let (ready, why) = node.get("/readyz").await;
    assert_eq!(ready, 503, "{why}");
    assert!(
        why.contains("closed for writing: a write failed: "),
        "{why}"
    );
    assert!(!export(&node, "orders").await.is_empty(), "reads go on");

    node.stop().await;
    let node = Node::start(&data).await;
    assert_whole(&node, &told).await;
    until_accepted(&node).await;
}

/// As many registrations may be among what was accepted.
const CALLERS_MAX: usize = 32;

/// Sends until enough has been refused.
async fn fill(node: &Node) -> Vec<Answer> {
    let load = Load::of_large_orders(node, LINES);
    until("the disk is full", FULL_WITHIN, async || {
        let seen = (load.accepted(), load.refused());
        (seen.1 >= REFUSED)
            .then_some(())
            .ok_or_else(|| format!("{seen:?}"))
    })
    .await;
    load.end().await
}

/// Every answer that is not a 201 is a 503 with a problem, and some of them say why.
fn assert_refusals(answers: &[Answer], why: &str) {
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != 201)
        .collect();
    for answer in &refused {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.content_type, "application/problem+json");
        let code = answer.said()["code"].clone();
        assert!(
            code == "unavailable" || code == "outcome-unknown",
            "{answer:?}"
        );
    }
    let says = |answer: &&&Answer| answer.body.contains(why);
    let said = refused.iter().filter(says).count();
    println!("{said} of {} refusals say `{why}`", refused.len());
    assert!(said > 0, "{:#?}", refused.last());
}

/// Waits until a command is accepted.
async fn until_accepted(node: &Node) -> Answer {
    until("a command is accepted", ROOM_AGAIN_WITHIN, async || {
        let command = Person::new(1).next();
        let answer = command.send(&node.client, &node.url).await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        if answer.status == 201 {
            Ok(answer)
        } else {
            Err(answer.body)
        }
    })
    .await
}
