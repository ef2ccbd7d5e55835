//! A key takes effect once.

use foldline_command::{Accepted, CommandError, Settings};
use foldline_kernel::Version;
use futures::future::join;

use super::{contexts::LIMIT, world::*};

fn again(first: &Accepted) -> Accepted {
    Accepted {
        replayed: true,
        ..first.clone()
    }
}

#[tokio::test]
async fn a_repeat_is_given_the_first_answer_again() {
    let world = World::new().await;
    let first = world
        .accepted(request(
            user(1),
            "counters/add-each",
            r#"{"by":2}"#,
            "twice",
        ))
        .await;
    world.accepted(add(3, "later")).await;
    let repeat = request(user(1), "counters/add-each", r#"{"by":2}"#, "twice");
    assert_eq!(world.accepted(repeat).await, again(&first));
    assert_eq!(world.events().await.len(), 3);
}

#[tokio::test]
async fn the_key_is_looked_up_before_the_version_and_the_rules() {
    let world = World::new().await;
    let first = world.accepted(at_version(0, add(LIMIT, "full"))).await;
    // Neither the version nor the value would allow it now.
    let repeat = at_version(0, add(LIMIT, "full"));
    assert_eq!(world.accepted(repeat).await, again(&first));
}

#[tokio::test]
async fn a_key_with_another_payload_is_refused() {
    let world = World::new().await;
    world.accepted(add(1, "key")).await;
    let key = "key".parse().unwrap();
    let reused = CommandError::KeyReused { key };
    assert_eq!(world.submit(add(2, "key")).await, Err(reused.clone()));
    let same_body = request(user(1), "counters/add-each", r#"{"by":1}"#, "key");
    assert_eq!(world.submit(same_body).await, Err(reused));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn keys_are_those_of_one_stream() {
    let world = World::new().await;
    world.accepted(add(1, "key")).await;
    assert!(!world.accepted(copy("key")).await.replayed);
    assert!(!world.accepted(add_of(user(2), 1, "key")).await.replayed);
}

#[tokio::test]
async fn the_same_key_while_the_first_is_in_flight_is_one_event() {
    let world = World::new().await;
    let gate = world.hold();
    let both = join(world.submit(add(5, "same")), async {
        gate.arrived().await;
        let second = world.submit(add(5, "same"));
        let opened = async {
            quiet().await;
            gate.open();
        };
        join(second, opened).await.0
    });
    let (first, second) = within(both).await;
    let first = accepted(first);
    assert!(!first.replayed);
    assert_eq!(accepted(second), again(&first));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_stream_remembers_as_many_commands_as_it_is_told() {
    let settings = Settings {
        remembered_commands: 2,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    for key in ["a", "b", "c"] {
        world.accepted(add(1, key)).await;
    }
    assert!(world.accepted(add(1, "b")).await.replayed);
    assert!(world.accepted(add(1, "c")).await.replayed);
    let forgotten = world.accepted(add(1, "a")).await;
    assert_eq!((forgotten.replayed, forgotten.version), (false, Version(4)));
}

#[tokio::test]
async fn keys_outlive_a_restart() {
    let world = World::new().await;
    let first = world
        .accepted(request(
            user(1),
            "counters/add-each",
            r#"{"by":3}"#,
            "before",
        ))
        .await;
    // A directory without snapshots: nothing but the log is read.
    let log_alone = u32::MAX;
    world
        .ground
        .failing
        .ends
        .store(log_alone, std::sync::atomic::Ordering::Relaxed);
    let world = world.restarted::<1>().await;
    let repeat = request(user(1), "counters/add-each", r#"{"by":3}"#, "before");
    assert_eq!(world.accepted(repeat).await, again(&first));
    let other = world.submit(add(3, "before")).await;
    assert!(matches!(other, Err(CommandError::KeyReused { .. })));
    assert_eq!(world.ground.marker().await, None);
    assert_eq!(world.events().await.len(), 3);
}
