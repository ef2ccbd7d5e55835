//! What was encoded is what is decoded, and encodes to the same bytes again.

use bytes::Bytes;
use foldline_kernel::{
    CommandId, Epoch, EventId, LaneSequence, Sequence, Timestamp, UserId, Version,
};
use foldline_schema::{CommandHash, CommandPart, Event, NewEvent, Stamp, decode, encode};
use proptest::prelude::*;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::examples::{STAMP, full, log_name, plain};

proptest! {
    #[test]
    fn an_event_survives(new in new_event(), stamp in stamp()) {
        let encoded = encode(&log_name(), new, stamp);
        let decoded = decode(encoded.record.clone()).unwrap();
        prop_assert_eq!(fields(&decoded), fields(&encoded));
        prop_assert_eq!(&again(&decoded).record, &encoded.record);
    }

    /// A damaged record is told or is another record; it never takes the reader down.
    #[test]
    fn a_changed_byte_does_no_harm(at in any::<proptest::sample::Index>(), to in any::<u8>()) {
        let mut record = encode(&log_name(), full(), STAMP).record.to_vec();
        let at = at.index(record.len());
        record[at] = to;
        let _ = decode(record.into()).map(|event| event.json().is_ok());
    }

    #[test]
    fn a_cut_off_record_is_told(at in any::<proptest::sample::Index>()) {
        let record = encode(&log_name(), full(), STAMP).record;
        let at = at.index(record.len());
        prop_assert!(decode(record.slice(..at)).is_err());
    }
}

#[test]
fn a_type_and_attributes_of_a_newer_writer_survive() {
    let mut new = plain();
    new.type_name = "order.teleported.v9".into();
    new.extensions = Map::from_iter([
        ("partner".to_owned(), Value::from("é \"quoted\"")),
        ("retries".to_owned(), Value::from(3)),
        ("trial".to_owned(), Value::from(true)),
    ]);
    let encoded = encode(&log_name(), new.clone(), STAMP);
    let decoded = decode(encoded.record.clone()).unwrap();
    assert_eq!(decoded.type_name.as_ref(), "order.teleported.v9");
    assert_eq!(decoded.extensions, new.extensions);
    assert_eq!(again(&decoded).record, encoded.record);
}

#[test]
fn attributes_may_stand_in_any_sequence_and_with_any_space() {
    let encoded = encode(&log_name(), full(), STAMP);
    let Value::Object(members) = serde_json::from_slice(&encoded.record).unwrap() else {
        panic!("a record is an object");
    };
    let backwards: Vec<String> = members
        .iter()
        .rev()
        .map(|(name, value)| format!("  \"{name}\" : {value} "))
        .collect();
    let record = Bytes::from(format!("\n{{{}}}\n", backwards.join(",\n")));
    let decoded = decode(record).unwrap();
    assert_eq!(decoded.json().unwrap(), encoded.json().unwrap());
    assert_eq!(
        (decoded.id, decoded.sequence),
        (encoded.id, encoded.sequence)
    );
    assert_eq!(decoded.actor, encoded.actor);
}

#[test]
fn data_is_a_slice_of_the_record() {
    let record = encode(&log_name(), full(), STAMP).record;
    let event = decode(record.clone()).unwrap();
    let (record, data) = (record.as_ptr_range(), event.data.as_ptr_range());
    assert!(record.contains(&data.start) && data.end <= record.end);
}

#[test]
fn data_that_cannot_be_read_concerns_its_user_only() {
    let mut new = plain();
    // Well-formed, so the envelope is whole, but no number that can be held.
    new.data = Bytes::from_static(br#"{"amount":1e999}"#);
    let event = decode(encode(&log_name(), new, STAMP).record).unwrap();
    assert!(event.json().is_err());
}

/// All that an event says, in a form that can be compared.
fn fields(event: &Event) -> impl PartialEq + std::fmt::Debug {
    (
        (
            event.id,
            event.type_name.clone(),
            event.log_name.clone(),
            event.context.clone(),
        ),
        (
            event.subject,
            event.time,
            event.sequence,
            event.lane_sequence,
            event.epoch,
        ),
        (
            event.stream_version,
            event.command_id.clone(),
            event.command_hash,
        ),
        (
            event.command_part,
            event.actor.clone(),
            event.causation_id.clone(),
        ),
        (
            event.correlation_id.clone(),
            event.extensions.clone(),
            event.data.clone(),
        ),
    )
}

fn again(event: &Event) -> Event {
    let new = NewEvent {
        id: event.id,
        type_name: event.type_name.clone(),
        context: event.context.clone(),
        subject: event.subject,
        time: event.time,
        stream_version: event.stream_version,
        command_id: event.command_id.clone(),
        command_hash: event.command_hash,
        command_part: event.command_part,
        actor: event.actor.clone(),
        causation_id: event.causation_id.clone(),
        correlation_id: event.correlation_id.clone(),
        extensions: event.extensions.clone(),
        data: event.data.clone(),
    };
    let stamp = Stamp {
        sequence: event.sequence,
        lane_sequence: event.lane_sequence,
        epoch: event.epoch,
    };
    encode(&event.log_name, new, stamp)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    let sequences = (1..=9_999_999_999_999_999_u64, 1..=9_999_999_999_999_999_u64);
    (sequences, 0..=i32::MAX as u32).prop_map(|((sequence, lane_sequence), epoch)| Stamp {
        sequence: Sequence(sequence),
        lane_sequence: LaneSequence(lane_sequence),
        epoch: Epoch(epoch),
    })
}

fn new_event() -> impl Strategy<Value = NewEvent> {
    let ids = (any::<u128>(), any::<u128>(), any::<[u8; 16]>());
    let named = (
        "[a-z]{1,9}\\.[a-z]{1,9}(-[a-z]{1,5})?\\.v[1-9]",
        "[a-z][a-z0-9-]{0,47}",
    );
    let time = -62_167_219_200_000_000..=253_402_300_799_999_999_i64;
    let part = (1..=u16::MAX).prop_flat_map(|of| (1..=of, Just(of)));
    let texts = (
        proptest::option::of(".*"),
        proptest::option::of(".*"),
        proptest::option::of(".*"),
    );
    let command = ("[!-~]{1,128}", 1..=u64::from(u32::MAX));
    let rest = (
        extensions(),
        json().prop_map(|data| Bytes::from(data.to_string())),
    );
    (ids, named, time, part, texts, command, rest).prop_map(
        |(ids, named, time, part, texts, command, (extensions, data))| NewEvent {
            id: EventId(Uuid::from_u128(ids.0)),
            type_name: named.0.into(),
            context: named.1.parse().unwrap(),
            subject: UserId(Uuid::from_u128(ids.1)),
            time: Timestamp::from_micros(time).unwrap(),
            stream_version: Version(command.1),
            command_id: command.0.parse::<CommandId>().unwrap(),
            command_hash: CommandHash(ids.2),
            command_part: CommandPart {
                part: part.0,
                of: part.1,
            },
            actor: texts.0,
            causation_id: texts.1,
            correlation_id: texts.2,
            extensions,
            data,
        },
    )
}

/// Attributes that no version knows: their names begin with x.
fn extensions() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        ".*".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
    ];
    proptest::collection::btree_map("x[a-z0-9]{0,19}", value, 0..4)
        .prop_map(|members| members.into_iter().collect())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(".*", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
