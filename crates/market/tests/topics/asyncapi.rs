//! The AsyncAPI document: kept as a golden, written as the specification says, and saying of
//! each type what its own schema says.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::{
    golden,
    node::{json, printed, tool},
    schemas::Published,
};

/// The specification's own schema: `schemas/3.0.0.json` of the npm package @asyncapi/specs
/// 6.11.1 as it is there, packed. Copyright 2016-2025 AsyncAPI Initiative, Apache-2.0.
const SPECIFICATION: &[u8] = include_bytes!("asyncapi-3.0.0.json.gz");

#[test]
fn the_document_is_the_published_one() {
    let made = printed(&tool(&["schema", "--asyncapi"]), 0);
    golden::check(&golden::schemas().join("asyncapi.json"), &made);
}

#[test]
fn the_document_keeps_to_the_specification() {
    let mut text = String::new();
    let mut packed = GzDecoder::new(SPECIFICATION);
    packed.read_to_string(&mut text).expect("a packed text");
    let specification: Value = serde_json::from_str(&text).expect("JSON");
    let validator = jsonschema::validator_for(&specification).expect("a schema");
    let document = json(&tool(&["schema", "--asyncapi"]), 0);
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // It does find what is wrong.
    for (pointer, wrong) in [
        ("/channels/orders/bindings/kafka/partitions", json!(0)),
        ("/operations/receive-orders/action", json!("read")),
        ("/servers/kafka/bindings/kafka/bindingVersion", json!("9")),
    ] {
        let mut document = document.clone();
        let place = document.pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("no {pointer}")) = wrong;
        assert!(!validator.is_valid(&document), "{pointer}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                for member in members.values() {
                    references(member, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = json(&tool(&["schema", "--asyncapi"]), 0);
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{found:?}");
    for reference in found {
        let pointer = reference
            .strip_prefix('#')
            .expect("a place in this document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_stored_type_is_a_message_and_an_older_shape_says_so() {
    let document = json(&tool(&["schema", "--asyncapi"]), 0);
    let messages = document["components"]["messages"].as_object();
    let messages = messages.expect("messages");
    let catalog = market::catalog();
    assert!(
        messages
            .keys()
            .eq(catalog.types().map(|stored| stored.name))
    );
    for stored in catalog.types() {
        let message = &messages[stored.name];
        assert_eq!(message["deprecated"] == true, !stored.is_current());
        let channel = &document["channels"][stored.context.as_str()];
        assert!(channel["messages"][stored.name].is_object(), "{channel:#}");
    }
}

#[test]
fn recorded_events_keep_to_their_messages_and_nothing_less_does() {
    let published = Published::read();
    let mut seen = 0;
    for name in golden::names(&golden::events()) {
        let path = golden::events().join(format!("{name}.json"));
        let Ok(event) = serde_json::from_str::<Value>(&golden::read(&path)) else {
            panic!("{name} is no JSON");
        };
        let [payload, _] = &published.messages[&name];
        assert!(payload.is_valid(&event), "{:?}", payload.validate(&event));
        for required in ["id", "subject", "sequence", "data"] {
            let mut less = event.clone();
            less.as_object_mut().expect("an event").remove(required);
            assert!(!payload.is_valid(&less), "{name} without {required}");
        }
        // What the type's own schema asks for is asked for here too.
        let members = event["data"].as_object().expect("an object").clone();
        for member in members.keys() {
            let mut less = event.clone();
            let data = less["data"].as_object_mut().expect("an object");
            data.remove(member);
            let own = published.data[&name].is_valid(&less["data"]);
            assert_eq!(payload.is_valid(&less), own, "{name} without {member}");
        }
        seen += 1;
    }
    assert!(seen > 10, "{seen} recorded events");
}

#[test]
fn the_document_of_an_environment_names_its_brokers_and_topics() {
    let document = json(
        &tool(&[
            "schema",
            "--asyncapi",
            "--kafka",
            "one:9092,two:9092",
            "--topic-prefix",
            "staging.",
        ]),
        0,
    );
    assert_eq!(document["servers"]["kafka"]["host"], "one:9092");
    assert_eq!(document["servers"]["kafka-2"]["host"], "two:9092");
    let orders = &document["channels"]["orders"];
    assert_eq!(orders["address"], "staging.orders");
    assert_eq!(orders["bindings"]["kafka"]["topic"], "staging.orders");
}
