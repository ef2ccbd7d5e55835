//! A record that is no event is told, attribute by attribute.

use bytes::Bytes;
use foldline_schema::{DecodeError, decode, encode};
use serde_json::{Map, Value, json};

use crate::examples::{STAMP, full, log_name};

/// Every attribute that an event must have.
const REQUIRED: [&str; 14] = [
    "specversion",
    "id",
    "type",
    "source",
    "subject",
    "time",
    "sequence",
    "lanesequence",
    "epoch",
    "streamversion",
    "commandid",
    "commandhash",
    "commandpart",
    "data",
];

fn members() -> Map<String, Value> {
    let record = encode(&log_name(), full(), STAMP).record;
    serde_json::from_slice(&record).unwrap()
}

fn told(members: &Map<String, Value>) -> DecodeError {
    let record = Bytes::from(Value::from(members.clone()).to_string());
    decode(record).expect_err("no event")
}

#[test]
fn an_attribute_that_is_absent_is_named() {
    for name in REQUIRED {
        let mut members = members();
        members.remove(name).expect("the example has it");
        let error = told(&members).to_string();
        assert!(
            error.contains(&format!("`{name}`")),
            "without {name}: {error}"
        );
    }
}

#[test]
fn an_attribute_that_cannot_be_so_is_named_with_what_it_was() {
    for (name, value) in [
        ("specversion", "0.3"),
        ("id", "7"),
        ("source", "market/orders"),
        ("source", "/market"),
        ("source", "/market/Orders"),
        ("subject", "ana"),
        ("time", "2026-11-21"),
        ("sequence", "1042"),
        ("sequence", "000000000000104x"),
        ("sequence", "+000000000001042"),
        ("lanesequence", "00000000000005230"),
        ("commandid", ""),
        ("commandid", "a b"),
        ("commandhash", "0011"),
        ("commandhash", "00112233445566778899aabbccddeefg"),
        ("commandhash", "+0112233445566778899aabbccddeeff"),
        ("commandpart", "0/1"),
        ("commandpart", "3/2"),
        ("commandpart", "+1/2"),
        ("commandpart", "1"),
        ("commandpart", "1/65536"),
    ] {
        let mut members = members();
        members.insert(name.into(), value.into());
        let due = DecodeError::Invalid {
            attribute: name,
            value: value.into(),
        };
        assert_eq!(told(&members), due);
    }
}

#[test]
fn an_attribute_of_another_kind_is_told() {
    for (name, value) in [
        ("id", json!(7)),
        ("type", json!(null)),
        ("subject", json!({})),
        ("sequence", json!(1042)),
        ("epoch", json!("7")),
        ("epoch", json!(-1)),
        ("epoch", json!(4_294_967_296_u64)),
        ("streamversion", json!(1.5)),
        ("actor", json!(false)),
    ] {
        let mut members = members();
        members.insert(name.into(), value.clone());
        let error = told(&members);
        assert!(
            matches!(error, DecodeError::Json(_)),
            "{name} as {value}: {error}"
        );
    }
}

#[test]
fn what_is_no_object_is_told() {
    for record in [
        "",
        "7",
        "[]",
        "null",
        "{",
        "{}x",
        "\u{feff}{}",
        "{\"id\":\"\u{1}\"}",
    ] {
        let error = decode(Bytes::from(record.to_owned())).expect_err("no object");
        assert!(matches!(error, DecodeError::Json(_)), "{record:?}: {error}");
    }
    let record = Bytes::from_static(b"{\"id\":\"\xff\"}");
    assert!(matches!(decode(record), Err(DecodeError::Json(_))));
}

#[test]
fn a_long_value_is_told_in_part() {
    let mut members = members();
    members.insert("time".into(), "x".repeat(5000).into());
    assert!(told(&members).to_string().len() < 200);
}
