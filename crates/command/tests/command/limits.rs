//! Bounds: of queues, of what a command may come to, of waiting; and a stop that keeps its word.

use std::{pin::pin, time::Duration};

use foldline_command::{CommandError, LaneHealth, Settings};
use futures::{
    FutureExt,
    future::{join, join_all},
};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::{contexts::LIMIT, world::*};

#[tokio::test]
async fn a_full_queue_answers_at_once_and_loses_nothing_that_it_took() {
    let settings = Settings {
        queue_commands_max: 4,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let gate = world.hold();
    let users = 0..50;
    let mut submitted: Vec<_> = users
        .map(|n| Box::pin(world.side.submit(add_of(user(n), 1, "a"))))
        .collect();
    let mut refused = 0;
    submitted.retain_mut(|submitted| match submitted.now_or_never() {
        None => true,
        Some(Err(CommandError::Overloaded {
            queued: 4,
            lane: LANE,
        })) => {
            refused += 1;
            false
        }
        Some(other) => panic!("{other:?}"),
    });
    assert_eq!((submitted.len(), refused), (4, 46));
    gate.open();
    let taken = submitted.len();
    for answer in within(join_all(submitted)).await {
        accepted(answer);
    }
    assert_eq!(world.events().await.len(), taken);
}

#[tokio::test]
async fn what_waits_is_measured_while_it_waits() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let measured = |world: &World, commands: usize| {
        world.side.measure();
        let line = format!("foldline_queue_commands{{lane=\"0\"}} {commands}\n");
        let rendered = metrics.render();
        assert!(rendered.contains(&line), "{rendered}");
    };
    let settings = Settings {
        batch_events_max: 1,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    measured(&world, 0);
    let _gate = world.hold();
    let mut submitted: Vec<_> = (0..5)
        .map(|n| Box::pin(world.side.submit(add_of(user(n), 1, "a"))))
        .collect();
    for one in &mut submitted {
        assert!(one.now_or_never().is_none());
    }
    measured(&world, 5);
    drop(submitted);
    quiet().await;
}

#[tokio::test]
async fn a_batch_takes_no_more_than_it_may() {
    let settings = Settings {
        batch_events_max: 8,
        batch_bytes_max: 1000,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let gates: Vec<_> = (0..4).map(|_| world.hold()).collect();
    let note = |n: u128, bytes: usize| {
        let body = format!(r#"{{"bytes":{bytes}}}"#);
        world
            .side
            .submit(request(user(n), "counters/note", &body, "a"))
    };
    let big = join_all((0..4).map(|n| note(n, 500)));
    let small = join_all((10..20).map(|n| note(n, 1)));
    let mut all = pin!(join(big, small));
    let mut appended = vec![];
    for gate in &gates {
        until_held(gate, &mut all).await;
        appended.push(world.events().await.len());
        gate.open();
    }
    within(all).await;
    appended.push(world.events().await.len());
    // Two of 500 bytes, two more, eight small ones, the last two.
    assert_eq!(appended, [0, 2, 4, 12, 14]);
}

#[tokio::test]
async fn a_command_that_comes_to_too_much_is_refused_before_it_is_in_a_batch() {
    let settings = Settings {
        command_bytes_max: 100,
        batch_events_max: 5,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let bytes = request(user(1), "counters/note", r#"{"bytes":101}"#, "a");
    let events = request(user(1), "counters/add-each", r#"{"by":6}"#, "b");
    for too_large in [bytes, events] {
        let answer = world.submit(too_large).await;
        assert!(matches!(answer, Err(CommandError::TooLarge { .. })));
    }
    assert!(world.events().await.is_empty());
    // The state is untouched as well.
    world.accepted(add(LIMIT, "c")).await;
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_settled_by_its_key() {
    let settings = Settings {
        command_timeout: Duration::from_millis(50),
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let gate = world.hold();
    let key = "slow".parse().unwrap();
    let unknown = Err(CommandError::OutcomeUnknown { key });
    assert_eq!(world.submit(add(5, "slow")).await, unknown);
    gate.open();
    assert!(world.accepted(add(5, "slow")).await.replayed);
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_stop_answers_what_was_taken_and_refuses_the_rest() {
    let world = World::new().await;
    let gate = world.hold();
    let mut first = pin!(world.submit(add(1, "first")));
    until_held(&gate, &mut first).await;
    let taken = [add(1, "a"), add(11, "b"), add(1, "first"), copy("c")];
    let mut taken = pin!(join_all(taken.map(|request| world.submit(request))));
    assert!(taken.as_mut().now_or_never().is_none());
    let mut stopped = pin!(world.side.stop());
    assert!(stopped.as_mut().now_or_never().is_none());
    quiet().await;
    let late = world.submit(add(1, "late")).await;
    assert!(
        matches!(late, Err(CommandError::Unavailable { .. })),
        "{late:?}"
    );
    gate.open();
    accepted(within(first).await);
    let answers = within(taken).await;
    accepted(answers[0].clone());
    assert_eq!(code(answers[1].clone()), "beyond-every-range");
    assert!(accepted(answers[2].clone()).replayed);
    accepted(answers[3].clone());
    within(stopped).await;
    assert_eq!(world.side.health(), [LaneHealth::Stopped]);
    assert_eq!(keys(&world.events().await), ["first", "a", "c"]);
}
