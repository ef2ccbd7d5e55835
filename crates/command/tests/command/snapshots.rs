//! States that come back without reading the whole log, and never wrong.

use std::sync::atomic::Ordering::Relaxed;

use foldline_command::Settings;
use foldline_kernel::{LaneSequence, UserId, Version};

use super::world::*;

fn settings(snapshot_events: usize) -> Settings {
    Settings {
        snapshot_events,
        ..Settings::default()
    }
}

impl World {
    /// One command of each user.
    async fn round(&self, users: std::ops::Range<u128>, key: &str) {
        for n in users {
            self.accepted(add_of(user(n), 1, key)).await;
        }
    }

    /// Every user's keys are known, and the versions go on where they were.
    async fn assert_remembers(&self, users: std::ops::Range<u128>, told: &[&str]) {
        for n in users {
            for (before, key) in told.iter().enumerate() {
                let repeat = self.accepted(add_of(user(n), 1, key)).await;
                let version = Version(before as u64 + 1);
                assert_eq!((repeat.replayed, repeat.version), (true, version), "{n}");
            }
            let version = self.version_of(user(n)).await;
            assert_eq!(version, Version(told.len() as u64), "user {n}");
        }
    }

    async fn version_of(&self, user: UserId) -> Version {
        match self.submit(add_of(user, 0, "asked")).await {
            Ok(foldline_command::Answer::Unchanged { version }) => version,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_graceful_stop_leaves_nothing_to_replay() {
    let world = World::with(settings(1_000_000)).await;
    world.round(0..100, "a").await;
    world.round(0..100, "b").await;
    let world = world.restarted::<1>().await;
    assert_eq!(world.ground.marker().await, Some(LaneSequence(200)));
    world.assert_remembers(0..100, &["a", "b"]).await;
    assert_eq!(world.events().await.len(), 200);
}

#[tokio::test]
async fn rounds_are_written_beside_the_serving() {
    let world = World::with(settings(10)).await;
    let mut keys = vec![];
    for key in ["a", "b", "c", "d"] {
        world.round(0..5, key).await;
        keys.push(key);
    }
    let written = async {
        while world.ground.marker().await < Some(LaneSequence(10)) {
            // Rounds advance beside commands; this one changes nothing.
            world.version_of(user(0)).await;
        }
    };
    within(written).await;
    // No graceful end: what is newer than the marker is read from the log.
    world.ground.failing.ends.store(u32::MAX, Relaxed);
    let world = world.restarted::<1>().await;
    world.assert_remembers(0..5, &keys).await;
}

#[tokio::test]
async fn states_of_older_rules_are_folded_anew() {
    let world = World::with(settings(1)).await;
    world.accepted(add(1, "a")).await;
    world.accepted(add(2, "b")).await;
    let world = world.restarted::<1>().await;
    assert_eq!(world.ground.marker().await, Some(LaneSequence(2)));
    world.accepted(copy("c")).await;
    let world = world.restarted::<2>().await;
    assert!(world.accepted(add(1, "a")).await.replayed);
    world.accepted(copy("d")).await;
    let events = world.events().await;
    assert_eq!(&events[2].data[..], br#"{"value":3,"version":2}"#);
    assert_eq!(&events[3].data[..], br#"{"value":30,"version":2}"#);
    // And back again, as after a release that was withdrawn.
    let world = world.restarted::<1>().await;
    world.accepted(copy("e")).await;
    let events = world.events().await;
    assert_eq!(&events[4].data[..], br#"{"value":3,"version":2}"#);
}

#[tokio::test]
async fn a_round_that_was_interrupted_is_harmless() {
    let world = World::with(settings(1_000_000)).await;
    world.round(0..5, "a").await;
    let world = world.restarted::<1>().await;
    let marker = world.ground.marker().await;
    assert_eq!(marker, Some(LaneSequence(5)));
    world.round(0..5, "b").await;
    // The snapshots are written, the marker is not: newer states beside an older marker.
    world.ground.failing.ends.store(1, Relaxed);
    let world = world.restarted::<1>().await;
    assert_eq!(world.ground.marker().await, marker);
    world.assert_remembers(0..5, &["a", "b"]).await;
    world.round(0..5, "c").await;
    let world = world.restarted::<1>().await;
    world.assert_remembers(0..5, &["a", "b", "c"]).await;
    assert_eq!(world.events().await.len(), 15);
}

#[tokio::test]
async fn what_a_round_could_not_write_is_in_the_next_one() {
    // More users than one slice, so that some were saved and some were not when it failed.
    let users = 0..150;
    let world = World::with(settings(150)).await;
    world.ground.failing.puts.store(1, Relaxed);
    world.round(users.clone(), "a").await;
    // Another round: it must save whom the first one gave up.
    for n in 0..150 {
        world.accepted(add_of(user(1000 + n), 1, "later")).await;
    }
    let world = world.restarted::<1>().await;
    assert_eq!(world.ground.marker().await, Some(LaneSequence(300)));
    world.assert_remembers(users, &["a"]).await;
}

#[tokio::test]
async fn the_marker_comes_without_a_further_command() {
    // Several slices, all of them after the last append.
    let world = World::with(settings(100)).await;
    world.round(0..100, "a").await;
    until_marker(&world, LaneSequence(100)).await;
}

#[tokio::test]
async fn a_user_in_every_batch_does_not_keep_a_round_from_ending() {
    let world = std::sync::Arc::new(World::with(settings(20)).await);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..4 {
        let world = world.clone();
        callers.spawn(async move {
            for n in 0.. {
                let note = request(
                    user(1),
                    "counters/note",
                    r#"{"bytes":1}"#,
                    &format!("{caller}-{n}"),
                );
                world.accepted(note).await;
            }
        });
    }
    until_marker(&world, LaneSequence(200)).await;
}

async fn until_marker(world: &World, at_least: LaneSequence) {
    let written = async {
        while world.ground.marker().await < Some(at_least) {
            quiet().await;
        }
    };
    within(written).await;
}
