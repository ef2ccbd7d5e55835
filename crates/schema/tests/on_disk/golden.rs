//! The bytes of a record, attribute by attribute in their fixed sequence.

use foldline_kernel::Context;
use foldline_schema::{command_hash, encode};
use serde_json::{Map, json};

use crate::examples::{STAMP, full, log_name, plain};

const FULL: &str = concat!(
    r#"{"specversion":"1.0","id":"019a7f3e-5c1d-7b2a-8e4f-0a1b2c3d4e5f","#,
    r#""type":"order.placed.v1","source":"/market/orders","#,
    r#""subject":"861eff47-11a5-42e1-ba55-e3b7aac6c55e","#,
    r#""time":"2026-11-21T20:16:49.123456Z","datacontenttype":"application/json","#,
    r#""dataschema":"urn:market:schema:order.placed.v1","#,
    r#""sequence":"0000000000001042","lanesequence":"0000000000005230","epoch":7,"#,
    r#""streamversion":12,"commandid":"place-7","#,
    r#""commandhash":"00112233445566778899aabbccddeeff","commandpart":"1/2","#,
    r#""actor":"ana@support","causationid":"019a7f3e-5c1d-7b2a-8e4f-000000000001","#,
    r#""correlationid":"checkout-7","#,
    r#""data":{"order_id":"7","lines":[{"quantity":2}]}}"#,
);

#[test]
fn a_record_has_these_bytes() {
    let event = encode(&log_name(), full(), STAMP);
    assert_eq!(std::str::from_utf8(&event.record).unwrap(), FULL);
    assert_eq!(event.data, full().data);
}

#[test]
fn attributes_that_an_event_has_not_are_left_out() {
    let event = encode(&log_name(), plain(), STAMP);
    let record = std::str::from_utf8(&event.record).unwrap();
    assert!(
        record.contains(r#""commandpart":"1/2","data":{"#),
        "{record}"
    );
}

#[test]
fn further_attributes_stand_before_the_data() {
    let mut new = plain();
    new.extensions = Map::from_iter([
        ("partner".to_owned(), json!("a\"b")),
        ("trial".to_owned(), json!(true)),
    ]);
    let event = encode(&log_name(), new, STAMP);
    let record = std::str::from_utf8(&event.record).unwrap();
    let due = r#""commandpart":"1/2","partner":"a\"b","trial":true,"data":{"#;
    assert!(record.contains(due), "{record}");
}

/// Compared with `printf 'orders\0place\0{}' | sha256sum`.
#[test]
fn the_hash_of_a_command_is_fixed() {
    let context: Context = "orders".parse().unwrap();
    let hash = command_hash(&context, "place", b"{}");
    assert_eq!(hash.to_string(), "4dd37cbadcf75ff7997158cd54d63cdb");
    assert_ne!(hash, command_hash(&context, "plac", b"e{}"));
}
