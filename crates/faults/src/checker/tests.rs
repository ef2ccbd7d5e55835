//! A small log and its answers, and each way to spoil them.

use uuid::Uuid;

use super::{
    Findings, answers,
    event::{Event, Facts},
    lanes,
    topics::{Owner, Topics},
};
use crate::load::{
    lane_of,
    record::{Accepted, Attempt, Outcome, Sent, What},
};

const USER: Uuid = Uuid::from_u128(1);
const ORDER: Uuid = Uuid::from_u128(2);

fn id(number: u64) -> Uuid {
    Uuid::from_u128(100 + u128::from(number))
}

/// The event with this place in everything.
fn event(number: u64, kind: &str) -> Event {
    Event {
        id: id(number),
        kind: kind.into(),
        context: "orders".into(),
        partition: 0,
        user: USER,
        sequence: number,
        lane_sequence: number,
        epoch: 1,
        stream_version: number,
        key: format!("k-{number}"),
        part: (1, 1),
        time: "2026-01-01T00:00:00Z".to_owned(),
        facts: Facts {
            order_id: ORDER,
            ..Facts::default()
        },
    }
}

fn at(moment: u64, outcome: Outcome) -> Attempt {
    Attempt {
        sent: moment * 10,
        ended: moment * 10 + 5,
        outcome,
    }
}

fn accepted(number: u64) -> Outcome {
    Outcome::Accepted(Accepted {
        events: vec![id(number)],
        version: number,
        position: format!("orders/0@{number}"),
    })
}

fn sent(number: u64, what: What, attempts: Vec<Attempt>) -> Sent {
    Sent {
        key: format!("k-{number}"),
        user: USER,
        what,
        attempts,
    }
}

/// Placed, approved and shipped, one after another, each acknowledged; then refused once.
fn world() -> (Topics, Vec<Sent>) {
    let kinds = ["order.placed.v1", "order.approved.v1", "order.shipped.v1"];
    let whats = [What::Place(ORDER), What::Approve(ORDER), What::Ship(ORDER)];
    let events = (1..).zip(kinds).map(|(number, kind)| event(number, kind));
    let mut all: Vec<Sent> = (1..)
        .zip(whats)
        .map(|(number, what)| sent(number, what, vec![at(number, accepted(number))]))
        .collect();
    let refused = Outcome::Refused("order-already-shipped".to_owned());
    all.push(sent(4, What::Ship(ORDER), vec![at(4, refused)]));
    let announced = Owner {
        kind: "announced".to_owned(),
        epoch: 1,
    };
    let topics = Topics {
        events: events.collect(),
        owners: vec![(0, announced)],
        unreadable: Vec::new(),
    };
    (topics, all)
}

/// What is found, by kind, once somebody has spoilt it.
fn found(spoil: impl FnOnce(&mut Topics, &mut Vec<Sent>)) -> Vec<&'static str> {
    assert_eq!(lane_of(USER, 1), 0);
    let (mut topics, mut sent) = world();
    spoil(&mut topics, &mut sent);
    let mut findings = Findings::default();
    let of_lanes = lanes::check(&topics, 1, &mut findings);
    answers::check(&of_lanes, &sent, &mut findings);
    findings.kinds().map(|(kind, ..)| kind).collect()
}

#[test]
fn a_sound_log_has_no_findings() {
    assert!(found(|_, _| {}).is_empty());
}

#[test]
fn an_acknowledged_event_that_is_not_there_is_lost() {
    assert_eq!(
        found(|topics, _| drop(topics.events.pop())),
        ["lost", "refused-wrongly"]
    );
}

#[test]
fn a_hole_in_the_sequences_is_a_gap() {
    let kinds = found(|topics, sent| {
        topics.events.remove(0);
        sent.remove(0);
    });
    assert!(
        kinds.contains(&"gap") && kinds.contains(&"stream"),
        "{kinds:?}"
    );
}

#[test]
fn a_key_that_takes_effect_twice_is_doubled() {
    let kinds = found(|topics, _| {
        let mut again = event(4, "order.approved.v1");
        again.key = "k-2".to_owned();
        topics.events.push(again);
    });
    assert!(kinds.contains(&"doubled"), "{kinds:?}");
}

#[test]
fn two_writers_at_the_same_place_are_told() {
    let kinds = found(|topics, _| {
        let mut zombie = event(3, "order.delivered.v1");
        (zombie.id, zombie.key) = (id(9), "k-9".to_owned());
        topics.events.push(zombie);
    });
    assert!(
        kinds.contains(&"doubled") && kinds.contains(&"unasked"),
        "{kinds:?}"
    );
}

#[test]
fn an_event_of_a_replaced_writer_is_told() {
    let kinds = found(|topics, _| topics.events[1].epoch = 2);
    assert!(kinds.contains(&"fenced-writer"), "{kinds:?}");
    assert!(kinds.contains(&"unannounced-writer"), "{kinds:?}");
}

#[test]
fn half_a_command_is_torn() {
    assert_eq!(found(|topics, _| topics.events[2].part = (1, 2)), ["torn"]);
}

#[test]
fn a_refusal_that_no_state_explains_is_told() {
    let kinds = found(|_, sent| {
        let code = "unknown-order".to_owned();
        sent[3].attempts = vec![at(4, Outcome::Refused(code))];
    });
    assert_eq!(kinds, ["refused-wrongly"]);
}

#[test]
fn a_refusal_by_a_state_of_its_own_time_is_none() {
    let kinds = found(|_, sent| {
        // Asked before anything was known to have happened.
        let code = "unknown-order".to_owned();
        sent[3].attempts = vec![Attempt {
            sent: 1,
            ended: 100,
            outcome: Outcome::Refused(code),
        }];
    });
    assert!(kinds.is_empty(), "{kinds:?}");
}

#[test]
fn a_refused_key_has_no_event() {
    let refused = || at(3, Outcome::Refused("unknown-order".to_owned()));
    let kinds = found(|_, sent| sent[2].attempts = vec![refused()]);
    assert!(kinds.contains(&"refused-yet-there"), "{kinds:?}");
    let nothing = at(3, Outcome::Nothing("unavailable".to_owned()));
    let kinds = found(|_, sent| sent[2].attempts = vec![nothing]);
    assert!(kinds.contains(&"nothing-yet-there"), "{kinds:?}");
}

#[test]
fn a_repeat_is_answered_as_the_first_time() {
    let kinds = found(|_, sent| {
        let other = Outcome::Accepted(Accepted {
            events: vec![id(3)],
            version: 3,
            position: "orders/0@4".to_owned(),
        });
        sent[2].attempts.push(at(5, other));
    });
    assert!(kinds.contains(&"answered-differently"), "{kinds:?}");
}

#[test]
fn what_was_known_before_comes_before() {
    let kinds = found(|_, sent| sent[0].attempts[0].sent = 1_000);
    assert!(kinds.contains(&"order"), "{kinds:?}");
}
