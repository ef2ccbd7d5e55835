//! Every answer waits for an append that began after it was decided.

use std::pin::pin;

use foldline_command::{Answer, CommandError};
use foldline_event_log::faulty::{AppendFault, Gate};
use futures::{FutureExt, future::join_all};

use super::{contexts::LIMIT, world::*};

#[tokio::test]
async fn a_refusal_alone_waits_for_an_append_of_its_own() {
    let world = World::new().await;
    let gate = world.hold();
    let mut refused = pin!(world.submit(add(-1, "no")));
    // The gate is where appends begin: somebody stands there, so a refusal has begun one.
    until_held(&gate, &mut refused).await;
    quiet().await;
    assert!(refused.as_mut().now_or_never().is_none());
    gate.open();
    assert_eq!(code(refused.await), "out-of-range");
    assert!(world.events().await.is_empty());
}

#[tokio::test]
async fn no_answer_is_given_by_an_append_that_began_before_it_was_decided() {
    let world = World::new().await;
    world.accepted(add(1, "first")).await;
    let (before, after) = (world.hold(), world.hold());
    let mut early = pin!(world.submit(add(2, "early")));
    until_held(&before, &mut early).await;
    // An append is under way. What is decided now must not be answered by it: a repeat, a
    // refusal, an unchanged, a stale version and a new command alike.
    let later = [
        add(1, "first"),
        add(-9, "refused"),
        add(0, "unchanged"),
        at_version(0, add(1, "stale")),
        add(3, "new"),
        copy("copied"),
    ];
    let mut later = pin!(join_all(later.map(|request| world.submit(request))));
    assert!(later.as_mut().now_or_never().is_none());
    quiet().await;
    before.open();
    accepted(within(early).await);
    within(after.arrived()).await;
    assert!(later.as_mut().now_or_never().is_none());
    quiet().await;
    assert!(later.as_mut().now_or_never().is_none());
    after.open();
    let answers = within(later).await;
    assert!(accepted(answers[0].clone()).replayed);
    assert_eq!(code(answers[1].clone()), "out-of-range");
    assert!(matches!(answers[2], Ok(Answer::Unchanged { .. })));
    assert!(matches!(answers[3], Err(CommandError::StaleVersion { .. })));
    accepted(answers[4].clone());
    accepted(answers[5].clone());
}

#[tokio::test]
async fn an_append_that_is_durable_and_not_acknowledged_gives_no_answer() {
    let world = World::new().await;
    let gate = Gate::default();
    let held = AppendFault::HeldAfter(gate.clone());
    world.ground.faults.on_append(LANE, held);
    let mut submitted = pin!(world.submit(add(LIMIT, "held")));
    until_held(&gate, &mut submitted).await;
    assert_eq!(world.events().await.len(), 1);
    quiet().await;
    assert!(submitted.as_mut().now_or_never().is_none());
    gate.open();
    accepted(submitted.await);
}

#[tokio::test]
async fn the_next_batch_is_decided_while_one_is_made_durable() {
    let world = World::new().await;
    let gate = world.hold();
    let mut first = pin!(world.submit(add(1, "0")));
    until_held(&gate, &mut first).await;
    let next = world.hold();
    let keys = ["1", "2", "3", "4"];
    let mut later = pin!(join_all(keys.map(|key| world.submit(add(1, key)))));
    assert!(later.as_mut().now_or_never().is_none());
    quiet().await;
    gate.open();
    accepted(within(first).await);
    // One append for the four of them.
    within(next.arrived()).await;
    next.open();
    for answer in within(later).await {
        accepted(answer);
    }
    assert_eq!(world.ground.faults.waiting(), 0);
    assert_eq!(world.events().await.len(), 5);
}
