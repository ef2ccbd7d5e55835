//! The published schemas, as a reader of the topics uses them.

use std::collections::BTreeMap;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::{
    golden,
    node::{json, tool},
};

/// Validators by stored type.
pub(crate) struct Published {
    /// Of `schemas/TYPE.json`.
    pub(crate) data: BTreeMap<String, Validator>,
    /// Of the messages in the AsyncAPI document, which is in `schemas/` too: value and headers.
    pub(crate) messages: BTreeMap<String, [Validator; 2]>,
}

impl Published {
    /// Reads what is in `schemas/`.
    pub(crate) fn read() -> Self {
        let data = golden::names(&golden::schemas())
            .into_iter()
            .filter(|name| name != "asyncapi")
            .map(|name| {
                let schema = read(&name);
                assert_eq!(schema["title"], *name);
                (name, jsonschema::validator_for(&schema).expect("a schema"))
            });
        let document = json(&tool(&["schema", "--asyncapi"]), 0);
        let names = document["components"]["messages"].as_object();
        let names = names.expect("messages").keys().cloned();
        let messages = names.map(|name| {
            let validators = ["payload", "headers"].map(|part| validator(&document, &name, part));
            (name, validators)
        });
        Self {
            data: data.collect(),
            messages: messages.collect(),
        }
    }
}

/// The published schema of a type.
pub(crate) fn read(name: &str) -> Value {
    let path = golden::schemas().join(format!("{name}.json"));
    serde_json::from_str(&golden::read(&path)).expect("JSON")
}

/// The validator of one part of a message, which points to others in the same document.
pub(crate) fn validator(document: &Value, message: &str, part: &str) -> Validator {
    let schema = json!({
        "allOf": [{ "$ref": format!("#/components/messages/{message}/{part}") }],
        "components": document["components"],
    });
    let options = jsonschema::options().with_draft(Draft::Draft7);
    options.build(&schema).expect("a schema of draft 7")
}
