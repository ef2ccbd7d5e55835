//! What cannot be trusted concerns its user and nobody else.

use std::sync::atomic::Ordering::Relaxed;

use foldline_command::{CommandError, LaneHealth, Settings};
use foldline_kernel::{EventId, LaneSequence, Sequence, UserId, Version};
use foldline_schema::{CommandPart, NewEvent, command_hash};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::world::*;

/// An event that somebody else has written.
pub(crate) fn foreign(user: UserId, version: u64, type_name: &str, data: &'static str) -> NewEvent {
    NewEvent {
        id: EventId(uuid::Uuid::new_v4()),
        type_name: type_name.into(),
        context: context("counters"),
        subject: user,
        time: std::time::SystemTime::now().into(),
        stream_version: Version(version),
        command_id: "foreign".parse().expect("a key"),
        command_hash: command_hash(&context("counters"), "add", b"{}"),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: serde_json::Map::new(),
        data: data.into(),
    }
}

async fn assert_quarantined(world: &World, user: UserId, at: &str, because: &str) {
    for path in ["counters/add", "mirrors/copy"] {
        let answer = world
            .submit(request(user, path, r#"{"by":1}"#, "next"))
            .await;
        let Err(CommandError::Quarantined {
            user: told,
            since,
            reason,
        }) = answer
        else {
            panic!("not quarantined: {answer:?}");
        };
        assert_eq!(told, user);
        assert!(since.contains(at), "{since}");
        assert!(reason.contains(because), "{reason}");
    }
}

#[tokio::test]
async fn a_panicking_rule_quarantines_its_user_until_the_next_start() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let counted = |users: u32| format!("foldline_quarantined_users {users}\n");
    let world = World::new().await;
    world.accepted(add(3, "a")).await;
    let panics = request(user(1), "counters/panic", "{}", "b");
    let answer = world.submit(panics).await;
    assert!(matches!(answer, Err(CommandError::Quarantined { .. })));
    assert_quarantined(
        &world,
        user(1),
        "`panic` of `counters`",
        "nobody thought of",
    )
    .await;
    world.accepted(add_of(user(2), 1, "c")).await;
    assert!(metrics.render().contains(&counted(1)));
    // It left nothing in the log, so the next start knows nothing of it.
    let world = world.restarted::<1>().await;
    assert!(metrics.render().contains(&counted(0)));
    assert_eq!(world.accepted(add(1, "d")).await.version, Version(2));
}

#[tokio::test]
async fn an_event_that_cannot_be_folded_is_not_appended() {
    let world = World::new().await;
    let poison = request(user(1), "counters/poison", "{}", "a");
    let answer = world.submit(poison).await;
    assert!(matches!(answer, Err(CommandError::Quarantined { .. })));
    world.accepted(add_of(user(2), 1, "b")).await;
    assert_eq!(keys(&world.events().await), ["b"]);
    assert_quarantined(&world, user(1), "`poison`", "nobody thought of").await;
}

#[tokio::test]
async fn what_cannot_be_read_from_the_log_quarantines_its_user_for_as_long_as_it_is_there() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let ground = Ground::new(1);
    let mut writer = ground.writer().await;
    let batch = vec![
        foreign(user(1), 1, "counter.added.v1", r#"{"by":1}"#),
        foreign(user(2), 1, "counter.added.v1", r#"{"by":"one"}"#),
        foreign(user(3), 1, "counter.poisoned.v1", "{}"),
        foreign(user(4), 1, "counter.added.v9", "{}"),
        foreign(user(5), 2, "counter.added.v1", r#"{"by":1}"#),
    ];
    writer.append(batch).await.expect("the log takes it");
    let settings = Settings {
        snapshot_events: 1,
        ..Settings::default()
    };
    let mut world = World::on(ground, settings).await;
    for (end, key) in [(6, "first"), (7, "second")] {
        assert_quarantined(&world, user(2), "counters@2", "invalid type").await;
        assert_quarantined(&world, user(3), "counters@3", "nobody thought of").await;
        assert_quarantined(&world, user(4), "counters@4", "counter.added.v9").await;
        assert_quarantined(&world, user(5), "counters@5", "version 2 follows 0").await;
        assert!(metrics.render().contains("foldline_quarantined_users 4\n"));
        world.accepted(add(1, key)).await;
        // The marker passes the events by, and what was wrong with them is known all the same.
        world = world.restarted::<1>().await;
        assert_eq!(world.ground.marker().await, Some(LaneSequence(end)));
    }
    assert_eq!(world.events().await.len(), 7);
    // Rules of another revision fold the lane anew, and are told what these were told.
    let world = world.restarted::<2>().await;
    assert_quarantined(&world, user(2), "counters@2", "invalid type").await;
}

#[tokio::test]
async fn a_spoilt_state_is_read_again_beside_the_next_serving() {
    let world = World::new().await;
    world.accepted(add(3, "a")).await;
    let poison = request(user(1), "counters/poison", "{}", "b");
    let answer = world.submit(poison).await;
    assert!(matches!(answer, Err(CommandError::Quarantined { .. })));
    world.accepted(add_of(user(2), 1, "c")).await;
    let world = world.restarted::<1>().await;
    assert_eq!(world.ground.marker().await, Some(LaneSequence(2)));
    let cured = async {
        loop {
            match world.submit(add(1, "d")).await {
                Err(CommandError::Quarantined { .. }) => quiet().await,
                answer => return accepted(answer),
            }
        }
    };
    assert_eq!(within(cured).await.version, Version(2));
    assert!(world.accepted(add(3, "a")).await.replayed);
    // From then on its state is in the snapshots as any other.
    let world = world.restarted::<1>().await;
    assert!(world.accepted(add(1, "d")).await.replayed);
}

#[tokio::test]
async fn a_failed_append_does_not_count_a_quarantined_user_twice() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let ground = Ground::new(1);
    let mut writer = ground.writer().await;
    let batch = vec![foreign(user(2), 1, "counter.added.v1", "[]")];
    let appended = writer.append(batch).await.expect("the log takes it");
    assert_eq!(appended.sequences, [Sequence(1)]);
    let world = World::on(ground, Settings::default()).await;
    world.ground.faults.on_append(
        LANE,
        foldline_event_log::faulty::AppendFault::UnknownNothing,
    );
    world.accepted(add(1, "a")).await;
    assert!(metrics.render().contains("foldline_quarantined_users 1\n"));
}

#[tokio::test]
async fn a_lane_whose_task_has_failed_says_so() {
    let settings = Settings {
        snapshot_events: 1,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    world.ground.failing.panics.store(1, Relaxed);
    // The store panics within the task of the lane.
    world.accepted(add(1, "a")).await;
    let unavailable = async {
        loop {
            match world.submit(add(0, "b")).await {
                Err(CommandError::Unavailable { reason, .. }) => return reason,
                _ => quiet().await,
            }
        }
    };
    assert!(within(unavailable).await.contains("has failed"));
    assert!(matches!(&world.side.health()[..], [LaneHealth::Closed(_)]));
}
