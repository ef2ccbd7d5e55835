//! The log against what callers were told.

use std::{collections::HashMap, sync::Arc};

use foldline_kernel::{CommandId, UserId};
use foldline_schema::Event;
use serde_json::Value;

use super::callers::{Answered, History, Told};
use crate::contexts::LIMIT;

/// What the log says of one command.
#[derive(Default)]
struct Recorded<'a> {
    events: Vec<&'a Event>,
}

/// Checks one lane: its events, and the answers to the users whose lane it is.
pub(crate) fn lane(events: &[Arc<Event>], history: &History, is_here: impl Fn(UserId) -> bool) {
    let (commands, counters) = fold(events);
    let mut first_answers = HashMap::<&CommandId, usize>::new();
    for told in history.told.iter().filter(|told| is_here(told.user)) {
        let recorded = commands.get(&told.key).map_or(&[][..], |one| &one.events);
        let values = counters.get(&told.user).map_or(&[0][..], Vec::as_slice);
        match &told.answer {
            Answered::Accepted(accepted) => {
                let ids: Vec<_> = accepted.events.iter().map(|(id, _)| *id).collect();
                let kept: Vec<_> = recorded.iter().map(|event| event.id).collect();
                assert_eq!(ids, kept, "lost or doubled: {told:?}");
                let last = recorded.last().expect("an accepted command has events");
                assert_eq!(accepted.version, last.stream_version, "{told:?}");
                assert_eq!(accepted.position.sequence, last.sequence, "{told:?}");
                *first_answers.entry(&told.key).or_default() += usize::from(!accepted.replayed);
            }
            Answered::Unchanged(version) => {
                assert!(recorded.is_empty(), "{told:?}");
                assert_was(told, values, *version, None);
            }
            Answered::Rejected("nothing-to-copy", _) => assert_was(told, values, 0, None),
            Answered::Rejected("out-of-range", sentence) => {
                let said: Vec<i64> = sentence
                    .split(' ')
                    .map(|number| number.parse().expect("a number"))
                    .collect();
                let [version, value, by] = said[..] else {
                    panic!("{sentence}")
                };
                let version = version.cast_unsigned();
                assert!(!(0..=LIMIT).contains(&(value + by)), "{told:?}");
                assert_was(told, values, version, Some(value));
                // A refusal uses no key up: the same one may have been let through later.
                let first = recorded.first().map(|event| event.stream_version.0);
                assert!(first.is_none_or(|first| version < first), "{told:?}");
            }
            Answered::Rejected(..) => panic!("{told:?}"),
        }
    }
    for (key, times) in first_answers {
        assert!(times <= 1, "{key} was answered {times} times as the first");
    }
}

/// The state an answer spoke of is one that the log had, and not an older one than the caller had
/// been told of before.
fn assert_was(told: &Told, values: &[i64], version: u64, value: Option<i64>) {
    assert!(version >= told.at_least, "from the past: {told:?}");
    let was = usize::try_from(version).ok().and_then(|at| values.get(at));
    let was = *was.unwrap_or_else(|| panic!("from a state that never was: {told:?} {values:?}"));
    assert!(value.is_none_or(|value| value == was), "{told:?}: {was}");
}

/// Folds a lane: the events by command, and each user's counter after every version.
fn fold(events: &[Arc<Event>]) -> (HashMap<CommandId, Recorded<'_>>, HashMap<UserId, Vec<i64>>) {
    let mut commands = HashMap::<_, Recorded<'_>>::new();
    let mut versions = HashMap::<_, u64>::new();
    let mut counters = HashMap::<_, Vec<i64>>::new();
    for (place, event) in (1..).zip(events) {
        assert_eq!(event.lane_sequence.0, place);
        let version = versions
            .entry((event.subject, event.context.clone()))
            .or_default();
        *version += 1;
        assert_eq!(event.stream_version.0, *version, "a gap in {event:?}");
        let command = commands.entry(event.command_id.clone()).or_default();
        assert_eq!(
            usize::from(event.command_part.part),
            command.events.len() + 1,
            "twice in the log: {event:?}"
        );
        command.events.push(event);
        let values = counters.entry(event.subject).or_insert_with(|| vec![0]);
        let value = *values.last().expect("never empty");
        let data: Value = serde_json::from_slice(&event.data).expect("JSON");
        if event.context.as_str() == "counters" {
            let now = value + data["by"].as_i64().expect("a number");
            assert!((0..=LIMIT).contains(&now), "beyond the rules: {event:?}");
            values.push(now);
        } else {
            // The copy was made of exactly what stands before it in the lane.
            let seen = (data["version"].as_u64(), data["value"].as_i64());
            assert_eq!(seen, (Some(values.len() as u64 - 1), Some(value)));
        }
    }
    (commands, counters)
}
