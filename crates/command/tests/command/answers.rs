//! What a command is answered when nothing fails.

use foldline_command::{Accepted, Answer, CommandError, Request};
use foldline_kernel::{Caller, Position, Right, Sequence, UserId, Version};
use futures::future::join_all;

use super::world::*;

#[tokio::test]
async fn an_accepted_command_is_in_the_log_as_answered() {
    let world = World::new().await;
    let each = request(user(1), "counters/add-each", r#"{"by":3}"#, "three");
    let answer = world.accepted(each).await;
    let events = world.events().await;
    let recorded: Vec<_> = events
        .iter()
        .map(|event| (event.id, event.type_name.clone()))
        .collect();
    assert_eq!(
        answer,
        Accepted {
            events: recorded,
            version: Version(3),
            position: Position {
                context: context("counters"),
                partition: LANE,
                sequence: Sequence(3),
            },
            replayed: false,
        }
    );
    let parts: Vec<_> = events
        .iter()
        .map(|event| event.command_part.to_string())
        .collect();
    assert_eq!(parts, ["1/3", "2/3", "3/3"]);
}

#[tokio::test]
async fn a_command_without_an_event_changes_nothing_and_is_decided_again() {
    let world = World::new().await;
    let version = Version::ZERO;
    assert_eq!(
        world.submit(add(0, "same")).await,
        Ok(Answer::Unchanged { version })
    );
    // The key was not used up: no event remembers it.
    assert!(!world.accepted(add(4, "same")).await.replayed);
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn the_rules_refuse_with_their_code_and_leave_nothing() {
    let world = World::new().await;
    assert_eq!(code(world.submit(add(11, "a")).await), "beyond-every-range");
    assert_eq!(code(world.submit(add(-1, "b")).await), "out-of-range");
    assert!(world.events().await.is_empty());
    // A refusal uses no key up either.
    assert!(!world.accepted(add(1, "b")).await.replayed);
}

#[tokio::test]
async fn a_version_that_must_be_there_is_checked_before_the_rules() {
    let world = World::new().await;
    let stale = |expected, current| {
        Err(CommandError::StaleVersion {
            expected: Version(expected),
            current: Version(current),
        })
    };
    let impossible = at_version(1, add(11, "a"));
    assert_eq!(world.submit(impossible).await, stale(1, 0));
    assert_eq!(
        world.accepted(at_version(0, add(5, "b"))).await.version,
        Version(1)
    );
    assert_eq!(world.submit(at_version(0, add(5, "c"))).await, stale(0, 1));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_decision_sees_the_other_contexts_of_its_user_as_of_that_instant() {
    let world = World::new().await;
    assert_eq!(code(world.submit(copy("early")).await), "nothing-to-copy");
    // All in one batch: each decision sees what the one before it left, durable or not.
    let requests = [
        add(4, "a"),
        copy("b"),
        add(5, "c"),
        copy("d"),
        request(user(2), "mirrors/copy", "{}", "e"),
    ];
    let answers = join_all(requests.map(|request| world.submit(request))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        4,
        "{answers:?}"
    );
    assert_eq!(code(answers[4].clone()), "nothing-to-copy");
    let events = world.events().await;
    assert_eq!(keys(&events), ["a", "b", "c", "d"]);
    assert_eq!(&events[1].data[..], br#"{"value":4,"version":1}"#);
    assert_eq!(&events[3].data[..], br#"{"value":9,"version":2}"#);
}

#[tokio::test]
async fn what_is_no_command_is_told_without_asking_a_lane() {
    let world = World::new().await;
    let submit = async |path: &str, body: &str| {
        let answer = world.submit(request(user(1), path, body, "a")).await;
        answer.unwrap_err().to_string()
    };
    assert_eq!(
        submit("boats/sail", "{}").await,
        "there is no context `boats`; there are counters, mirrors"
    );
    assert_eq!(
        submit("mirrors/break", "{}").await,
        "the context `mirrors` has no command `break`; it has copy"
    );
    for (body, pointer) in [
        ("", ""),
        ("{}", ""),
        (r#"{"by":"1"}"#, "/by"),
        (r#"{"by":99999999999999999999}"#, "/by"),
    ] {
        let told = submit("counters/add", body).await;
        let place = format!("at `{pointer}`");
        assert!(told.ends_with(&place), "{body}: {told}");
    }
}

#[tokio::test]
async fn only_the_right_to_import_sets_the_time_of_an_event() {
    let world = World::new().await;
    let then = "2017-03-04T05:06:07Z".parse().unwrap();
    let at = |caller| Request {
        time: Some(then),
        caller,
        ..add(1, "a")
    };
    let nobody = Caller::user(user(1));
    assert!(matches!(
        world.submit(at(nobody.clone())).await,
        Err(CommandError::NotAllowed { .. })
    ));
    world.accepted(at(nobody.with(Right::Import))).await;
    assert_eq!(world.events().await[0].time, then);
}

#[tokio::test]
async fn who_acted_for_a_user_is_recorded() {
    let world = World::new().await;
    let by = |caller, key| Request {
        caller,
        causation_id: Some("cause".to_owned()),
        ..add(1, key)
    };
    let mut staff = Caller::user(user(7));
    staff.name = Some("staff:ana".to_owned());
    for (caller, key) in [
        (Caller::user(user(1)), "self"),
        (Caller::user(user(7)), "other"),
        (staff, "named"),
    ] {
        world.accepted(by(caller, key)).await;
    }
    let events = world.events().await;
    let actors: Vec<_> = events.iter().map(|event| event.actor.clone()).collect();
    let UserId(seven) = user(7);
    assert_eq!(
        actors,
        [None, Some(seven.to_string()), Some("staff:ana".to_owned())]
    );
    assert_eq!(events[0].causation_id.as_deref(), Some("cause"));
}
