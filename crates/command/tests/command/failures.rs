//! Appends that fail: nothing is answered from a state that turns out not to be the log's.

use std::{pin::pin, time::Duration};

use foldline_command::{Answer, CommandError, LaneHealth, Settings};
use foldline_event_log::{
    Announcement, EventLog,
    faulty::{AppendFault, Gate, Odds, OpenFault},
};
use foldline_kernel::Version;
use futures::{FutureExt, future::join_all};

use super::{contexts::LIMIT, world::*};

impl World {
    fn fails(&self, fault: AppendFault) {
        self.ground.faults.on_append(LANE, fault);
    }

    /// Submits commands that all meet in the batch after one that is held until they are decided.
    async fn in_one_batch(
        &self,
        requests: Vec<foldline_command::Request>,
        fault: AppendFault,
    ) -> Vec<Result<Answer, CommandError>> {
        let gate = self.hold();
        self.fails(fault);
        let mut dummy = pin!(self.submit(add_of(user(99), 0, "dummy")));
        until_held(&gate, &mut dummy).await;
        let mut submitted = pin!(join_all(requests.into_iter().map(|one| self.submit(one))));
        assert!(submitted.as_mut().now_or_never().is_none());
        quiet().await;
        gate.open();
        assert!(within(dummy).await.is_ok());
        within(submitted).await
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_from_the_log_as_a_first_answer() {
    let world = World::new().await;
    world.fails(AppendFault::LostAnswer);
    let first = world.accepted(add(5, "lost")).await;
    assert!(!first.replayed, "nobody has had this answer before");
    assert_eq!(world.events().await.len(), 1);
    assert!(world.accepted(add(5, "lost")).await.replayed);
}

#[tokio::test]
async fn an_append_that_was_lost_altogether_is_decided_anew() {
    let world = World::new().await;
    world.fails(AppendFault::UnknownNothing);
    world.fails(AppendFault::UnknownNothing);
    let first = world.accepted(add(5, "lost")).await;
    assert_eq!((first.replayed, first.version), (false, Version(1)));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn commands_of_a_failed_batch_keep_their_order() {
    for fault in [
        AppendFault::LostAnswer,
        AppendFault::UnknownNothing,
        AppendFault::Full,
    ] {
        let world = World::new().await;
        let told = ["a", "b", "c", "d"];
        let requests = told.map(|key| add(1, key)).to_vec();
        let answers = world.in_one_batch(requests, fault.clone()).await;
        let versions: Vec<_> = answers
            .into_iter()
            .map(|answer| accepted(answer).version.0)
            .collect();
        assert_eq!(versions, [1, 2, 3, 4], "{fault:?}");
        assert_eq!(keys(&world.events().await), told, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lost_batch_may_hold_more_commands_than_a_stream_remembers() {
    let settings = Settings {
        remembered_commands: 2,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let told = ["a", "b", "c", "d", "e"];
    let requests = told.map(|key| add(1, key)).to_vec();
    // The second takeover, too, has to find all five.
    world.in_one_batch(requests, AppendFault::LostAnswer).await;
    assert_eq!(keys(&world.events().await), told);
}

#[tokio::test]
async fn a_batch_that_fails_again_and_again_is_looked_for_each_time() {
    let settings = Settings {
        remembered_commands: 1,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let told = ["a", "b", "c", "d"];
    let gate = world.hold();
    for _ in 0..3 {
        world.fails(AppendFault::LostAnswer);
    }
    let mut dummy = pin!(world.submit(add_of(user(99), 0, "dummy")));
    until_held(&gate, &mut dummy).await;
    let mut submitted = pin!(join_all(told.map(|key| world.submit(add(1, key)))));
    assert!(submitted.as_mut().now_or_never().is_none());
    quiet().await;
    gate.open();
    for answer in within(submitted).await {
        assert!(!accepted(answer).replayed);
    }
    assert_eq!(world.ground.faults.waiting(), 0);
    assert_eq!(keys(&world.events().await), told);
}

#[tokio::test]
async fn a_repeat_stays_a_repeat_though_its_batch_failed() {
    let world = World::new().await;
    world.accepted(add(1, "old")).await;
    for fault in [AppendFault::LostAnswer, AppendFault::UnknownNothing] {
        let requests = vec![add(1, "old"), add(1, &format!("{fault:?}"))];
        let answers = world.in_one_batch(requests, fault).await;
        let replayed: Vec<_> = answers
            .into_iter()
            .map(|answer| accepted(answer).replayed)
            .collect();
        assert_eq!(replayed, [true, false]);
    }
}

#[tokio::test]
async fn a_refusal_that_spoke_of_a_failed_batch_is_decided_against_what_is_there() {
    let world = World::new().await;
    let gate = world.hold();
    world.fails(AppendFault::UnknownNothing);
    let mut dummy = pin!(world.submit(add_of(user(99), 0, "dummy")));
    until_held(&gate, &mut dummy).await;
    // The first fills the counter, so the second is refused; then the batch is lost, and with it
    // the caller of the first.
    let mut gone = Box::pin(world.submit(add(LIMIT, "gone")));
    let mut stays = pin!(world.submit(add(1, "stays")));
    assert!(gone.as_mut().now_or_never().is_none());
    assert!(stays.as_mut().now_or_never().is_none());
    quiet().await;
    drop(gone);
    gate.open();
    assert!(within(dummy).await.is_ok());
    assert_eq!(accepted(within(stays).await).version, Version(1));
    assert_eq!(keys(&world.events().await), ["stays"]);
}

#[tokio::test]
async fn a_replaced_writer_answers_nothing_and_closes_its_lane() {
    for appended in [false, true] {
        let world = World::new().await;
        world.accepted(add(4, "before")).await;
        let requests = vec![
            add(4, "before"),
            add(1, "accepted"),
            add(11, "refused"),
            add(0, "unchanged"),
        ];
        let keys = ["before", "accepted", "refused", "unchanged"];
        let answers = world
            .in_one_batch(requests, AppendFault::Fenced { appended })
            .await;
        for (answer, key) in answers.into_iter().zip(keys) {
            let key = key.parse().unwrap();
            assert_eq!(answer, Err(CommandError::OutcomeUnknown { key }));
        }
        assert!(matches!(&world.side.health()[..], [LaneHealth::Closed(_)]));
        assert!(matches!(
            world.submit(add(1, "afterwards")).await,
            Err(CommandError::Unavailable { lane: LANE, .. })
        ));
        // Whoever takes the lane over settles it by the key.
        let world = world.restarted::<1>().await;
        let settled = world.accepted(add(1, "accepted")).await;
        assert_eq!(settled.replayed, appended);
    }
}

#[tokio::test]
async fn a_writer_that_somebody_else_has_replaced_refuses_nothing() {
    let world = World::new().await;
    let mut other = world
        .ground
        .log
        .open_writer(LANE, Announcement::default())
        .await
        .expect("a writer");
    other.append(vec![]).await.expect("the lane is theirs");
    let key = "refused".parse().unwrap();
    let unknown = Err(CommandError::OutcomeUnknown { key });
    assert_eq!(world.submit(add(11, "refused")).await, unknown);
}

#[tokio::test]
async fn a_log_that_is_full_for_a_while_delays_and_doubles_nothing() {
    let world = World::new().await;
    for _ in 0..3 {
        world.fails(AppendFault::Full);
    }
    world
        .ground
        .faults
        .on_open_writer(LANE, OpenFault::Unavailable);
    let first = world.accepted(add(5, "late")).await;
    assert_eq!((first.replayed, first.version), (false, Version(1)));
    assert_eq!(world.ground.faults.waiting(), 0);
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_log_that_stays_full_is_told_within_the_bound() {
    let settings = Settings {
        command_timeout: Duration::from_millis(60),
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let full = Odds {
        full: 1,
        ..Odds::default()
    };
    world.ground.faults.at_random(1, full);
    let key = "never".parse().unwrap();
    let unknown = Err(CommandError::OutcomeUnknown { key });
    assert_eq!(world.submit(add(5, "never")).await, unknown);
    world.ground.faults.clear();
    // The lane comes back by itself, and nobody waits for the first command any more.
    let until_accepted = async {
        loop {
            match world.submit(add(1, "retried")).await {
                Ok(answer) => return accepted(Ok(answer)),
                Err(CommandError::OutcomeUnknown { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    within(until_accepted).await;
    let events = world.events().await;
    assert_eq!(keys(&events), ["retried"]);
}

#[tokio::test]
async fn a_log_that_stays_full_refuses_at_once_and_says_why() {
    let world = World::new().await;
    let full = Odds {
        full: 1,
        ..Odds::default()
    };
    world.ground.faults.at_random(1, full);
    for key in ["first", "later"] {
        match within(world.submit(add(5, key))).await {
            Err(CommandError::Unavailable { lane: LANE, reason }) => {
                assert!(reason.contains("takes no append now"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    world.ground.faults.clear();
    let until_accepted = async {
        while let Err(error) = world.submit(add(1, "retried")).await {
            assert!(
                matches!(error, CommandError::Unavailable { .. }),
                "{error:?}"
            );
        }
    };
    within(until_accepted).await;
    assert_eq!(keys(&world.events().await), ["retried"]);
}

#[tokio::test]
async fn a_command_that_may_be_in_the_log_is_never_told_that_nothing_happened() {
    let settings = Settings {
        command_timeout: Duration::from_millis(1500),
        ..Settings::default()
    };
    let world = World::with(settings).await;
    world.fails(AppendFault::LostAnswer);
    let full = Odds {
        full: 1,
        ..Odds::default()
    };
    world.ground.faults.at_random(1, full);
    let key = "lost".parse().unwrap();
    let unknown = Err(CommandError::OutcomeUnknown { key });
    assert_eq!(within(world.submit(add(5, "lost"))).await, unknown);
    assert_eq!(keys(&world.events().await), ["lost"]);
}

#[tokio::test]
async fn a_lane_that_cannot_be_opened_says_so_until_it_can() {
    let ground = Ground::new(1);
    let gate = Gate::default();
    ground.faults.on_open_writer(LANE, OpenFault::Unavailable);
    ground
        .faults
        .on_open_writer(LANE, OpenFault::Held(gate.clone()));
    let side = ground.start::<1>(Settings::default());
    within(gate.arrived()).await;
    let health = side.health();
    assert!(
        matches!(&health[..], [LaneHealth::Opening(reason)] if !reason.is_empty()),
        "{health:?}"
    );
    gate.open();
    within(side.ready()).await;
    assert_eq!(side.health(), [LaneHealth::Serving]);
    accepted(within(side.submit(add(1, "a"))).await);
}
