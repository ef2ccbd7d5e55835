//! The published JSON Schemas are those of the program, and its events keep to them.

use std::collections::BTreeSet;

use foldline::schema::StoredType;
use serde_json::Value;

use crate::{examples, golden};

#[test]
fn every_stored_type_has_its_schema_published() {
    let directory = golden::schemas();
    for stored in market::catalog().types() {
        let text = serde_json::to_string_pretty(&market::schemas::document(stored));
        let made = text.expect("a schema is JSON") + "\n";
        golden::check(&directory.join(format!("{}.json", stored.name)), &made);
    }
}

#[test]
fn no_schema_is_of_a_type_that_is_not_stored() {
    let directory = golden::schemas();
    let catalog = market::catalog();
    let strays = golden::names(&directory)
        .into_iter()
        .filter(|name| catalog.get(name).is_none() && name != "asyncapi");
    for stray in strays {
        let path = directory.join(format!("{stray}.json"));
        assert!(
            golden::written(),
            "{} is of no stored type; `cargo xtask goldens` removes it",
            path.display()
        );
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn schemas_are_what_the_events_envelope_names() {
    for stored in market::catalog().types() {
        let document = market::schemas::document(stored);
        assert_eq!(
            document["$id"],
            format!("urn:market:schema:{}", stored.name)
        );
        assert_eq!(document["title"], stored.name);
        assert!(
            document["description"].is_string(),
            "{} says what it is",
            stored.name
        );
        assert!(
            jsonschema::meta::is_valid(&document),
            "{} is a schema",
            stored.name
        );
    }
}

#[test]
fn events_keep_to_their_schemas() {
    let catalog = market::catalog();
    let mut seen = BTreeSet::new();
    for example in examples::all() {
        let stored = catalog.get(example.type_name()).expect("a stored type");
        assert_valid(stored, &example.data());
        seen.insert(stored.name);
    }
    let current = catalog.types().filter(|stored| stored.is_current());
    let missing: Vec<_> = current
        .filter(|stored| !seen.contains(stored.name))
        .collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}

#[test]
fn what_is_no_event_does_not_keep_to_its_schema() {
    let catalog = market::catalog();
    for example in examples::all() {
        let stored = catalog.get(example.type_name()).expect("a stored type");
        let Value::Object(whole) = example.data() else {
            panic!("data is an object");
        };
        let required = stored.schema["required"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for name in required.iter().filter_map(Value::as_str) {
            let mut less = whole.clone();
            less.remove(name);
            let validator = jsonschema::validator_for(&stored.schema).expect("a schema");
            assert!(
                !validator.is_valid(&less.into()),
                "{} without {name}",
                stored.name
            );
        }
    }
}

fn assert_valid(stored: &StoredType, data: &Value) {
    let validator = jsonschema::validator_for(&stored.schema).expect("a schema");
    if let Err(error) = validator.validate(data) {
        panic!("{}: {error} in {data}", stored.name);
    }
}
