//! A record is a CloudEvent: the official SDK reads it, and its extensions keep to the rules.

use cloudevents::event::{AttributesReader, Data, ExtensionValue, SpecVersion};
use foldline_kernel::{Epoch, LaneSequence, Sequence, Version};
use foldline_schema::{Event, NewEvent, Stamp, decode, encode};
use serde_json::{Map, Value, json};

use crate::examples::{STAMP, full, log_name, plain};

/// CloudEvents 1.0 §3.1: attributes of the specification itself.
const CORE: [&str; 9] = [
    "specversion",
    "id",
    "type",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
];

/// A record with further attributes, and the greatest numbers that can stand in one.
fn greatest() -> Event {
    let new = NewEvent {
        stream_version: Version(i32::MAX as u64),
        actor: Some("José \"Zé\" 🚀".into()),
        extensions: Map::from_iter([
            ("partner".to_owned(), json!("acme")),
            ("trial".to_owned(), json!(true)),
        ]),
        ..full()
    };
    let stamp = Stamp {
        sequence: Sequence(9_999_999_999_999_999),
        lane_sequence: LaneSequence(9_999_999_999_999_999),
        epoch: Epoch(i32::MAX as u32),
    };
    encode(&log_name(), new, stamp)
}

fn read(event: &Event) -> cloudevents::Event {
    serde_json::from_slice(&event.record).expect("the SDK reads a record")
}

#[test]
fn the_sdk_reads_the_attributes() {
    let event = greatest();
    let read = read(&event);
    assert_eq!(read.specversion(), SpecVersion::V10);
    assert_eq!(read.id(), event.id.to_string());
    assert_eq!(read.ty(), event.type_name.as_ref());
    assert_eq!(read.source(), "/market/orders");
    assert_eq!(read.subject(), Some(event.subject.to_string().as_str()));
    assert_eq!(read.time().unwrap().timestamp_micros(), event.time.micros());
    assert_eq!(read.datacontenttype(), Some("application/json"));
    let schema = read.dataschema().expect("an absolute URI");
    assert_eq!(schema.as_str(), "urn:market:schema:order.placed.v1");
    match read.data() {
        Some(Data::Json(data)) => assert_eq!(*data, event.json().unwrap()),
        other => panic!("{other:?} is no JSON"),
    }
}

#[test]
fn the_sdk_reads_the_extensions() {
    let event = greatest();
    let read = read(&event);
    let text = |text: &str| ExtensionValue::String(text.to_owned());
    for (name, due) in [
        ("sequence", text("9999999999999999")),
        ("lanesequence", text("9999999999999999")),
        ("epoch", ExtensionValue::Integer(i32::MAX.into())),
        ("streamversion", ExtensionValue::Integer(i32::MAX.into())),
        ("commandid", text("place-7")),
        ("commandhash", text("00112233445566778899aabbccddeeff")),
        ("commandpart", text("1/2")),
        ("actor", text("José \"Zé\" 🚀")),
        ("causationid", text("019a7f3e-5c1d-7b2a-8e4f-000000000001")),
        ("correlationid", text("checkout-7")),
        ("partner", text("acme")),
        ("trial", ExtensionValue::Boolean(true)),
    ] {
        assert_eq!(read.extension(name), Some(&due), "{name}");
    }
    assert_eq!(read.iter_extensions().count(), 12);
}

#[test]
fn what_the_sdk_writes_again_is_the_same_event() {
    let event = greatest();
    let written = serde_json::to_vec(&read(&event)).unwrap();
    let again = decode(written.into()).unwrap();
    assert_eq!(again.sequence, event.sequence);
    assert_eq!(
        (again.time, again.command_hash),
        (event.time, event.command_hash)
    );
    assert_eq!(again.actor, event.actor);
    assert_eq!(again.json().unwrap(), event.json().unwrap());
}

#[test]
fn extensions_keep_to_the_rules_of_the_specification() {
    let members: Map<String, Value> = serde_json::from_slice(&greatest().record).unwrap();
    let extensions = members
        .iter()
        .filter(|(name, _)| !CORE.contains(&name.as_str()));
    for (name, value) in extensions {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        assert!(
            name.bytes().all(alphanumeric),
            "{name}: lower-case letters and digits only"
        );
        assert!(name.len() <= 20, "{name}: at most 20 characters");
        match value {
            Value::String(_) | Value::Bool(_) => {}
            Value::Number(number) => {
                let integer = number.as_i64().expect("an integer");
                assert!(i32::try_from(integer).is_ok(), "{name}: within 32 bits");
            }
            other => panic!("{name} is {other}"),
        }
    }
}

/// The extension `sequence` is a text that sorts as the numbers do.
#[test]
fn sequences_sort_as_texts() {
    let text = |sequence| {
        let stamp = Stamp {
            sequence: Sequence(sequence),
            ..STAMP
        };
        match read(&encode(&log_name(), plain(), stamp)).extension("sequence") {
            Some(ExtensionValue::String(text)) => text.clone(),
            other => panic!("{other:?} is no text"),
        }
    };
    let texts = [1, 9, 10, 99_999, 100_000, 9_999_999_999_999_999].map(text);
    assert!(texts.is_sorted());
}

/// Intermediaries pass on events of at least 64 KiB; the attributes take little of it.
#[test]
fn the_envelope_is_small() {
    let envelope = greatest().record.len() - full().data.len();
    assert!(envelope < 1024, "{envelope} bytes");
}
