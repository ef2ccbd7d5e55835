//! The AsyncAPI document: the topics of events, described for whoever reads them.
//!
//! It stands by itself: the JSON Schemas are in it, in the form that AsyncAPI takes without
//! further ado, which is that of draft 7.

use foldline_event_log::kafka::{Settings, Topic};
use foldline_kernel::Context;
use foldline_schema::StoredType;
use serde_json::{Map, Value, json};

use crate::Application;

/// The version of AsyncAPI that the document is written in.
const ASYNCAPI: &str = "3.0.0";
/// The version of its binding for Kafka.
const BINDING: &str = "0.5.0";
/// What the components of the document are called in references.
const SCHEMAS: &str = "#/components/schemas/";

/// What every event has, whatever its type.
const EVENT: &str = include_str!("asyncapi/event.json");

/// Writes the document of an application whose log is on Kafka with these settings.
pub(super) fn document(application: &Application, settings: &Settings) -> Value {
    let contexts = application.contexts().names();
    let topics = settings.topics(&contexts);
    let events = topics
        .iter()
        .filter_map(|topic| Some((topic.context.as_ref()?, topic)));
    let types: Vec<&StoredType> = application.contexts().catalog().types().collect();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for (context, topic) in events {
        let names: Vec<&str> = types
            .iter()
            .filter(|stored| stored.context == *context)
            .map(|stored| stored.name)
            .collect();
        channels.insert(context.to_string(), channel(context, topic, &names));
        operations.insert(format!("receive-{context}"), operation(context, &names));
    }
    let mut document = json!({
        "asyncapi": ASYNCAPI,
        "info": info(application.name()),
        "defaultContentType": "application/json",
        "servers": servers(&settings.brokers),
        "channels": channels,
        "operations": operations,
        "components": components(application.name(), &types),
    });
    // One sequence of members, whatever the dependencies make of JSON maps.
    document.sort_all_objects();
    document
}

fn info(name: &str) -> Value {
    json!({
        "title": format!("{name}: events"),
        "version": env!("CARGO_PKG_VERSION"),
        "description": "\
            Every event, for ever, as seen by those who read it. One topic for each context; the \
            key is the user's id, and the partition is murmur2 of it, as Kafka's Java clients \
            compute it. Read with `isolation.level=read_committed`. Within a partition `sequence` \
            is gapless from 1; offsets have gaps and are no positions. A user's events are in one \
            partition of each topic, in their order. New types and new members come without \
            notice: skip what you do not know.",
    })
}

/// One server for each broker that is named.
fn servers(brokers: &str) -> Map<String, Value> {
    let brokers = brokers.split(',').map(str::trim);
    let named = brokers.enumerate().map(|(number, host)| {
        let name = match number {
            0 => "kafka".to_owned(),
            more => format!("kafka-{}", more + 1),
        };
        let server = json!({
            "host": host,
            "protocol": "kafka",
            "bindings": { "kafka": { "bindingVersion": BINDING } },
        });
        (name, server)
    });
    named.collect()
}

fn channel(context: &Context, topic: &Topic, types: &[&str]) -> Value {
    let messages = types.iter().map(|name| {
        let message = json!({ "$ref": format!("#/components/messages/{name}") });
        ((*name).to_owned(), message)
    });
    json!({
        "address": topic.name,
        "title": context.as_str(),
        "description": format!("The events of the context `{context}`."),
        "messages": messages.collect::<Map<_, _>>(),
        "bindings": { "kafka": {
            "topic": topic.name,
            "partitions": topic.partitions,
            "topicConfiguration": configuration(topic),
            "bindingVersion": BINDING,
        }},
    })
}

/// What the topic's configuration has to say, as far as it concerns those who read.
fn configuration(topic: &Topic) -> Map<String, Value> {
    let concerns = |(name, value): &(&'static str, String)| {
        let value = match *name {
            "cleanup.policy" => json!([value]),
            "retention.ms" | "retention.bytes" => json!(value.parse::<i64>().ok()?),
            _ => return None,
        };
        Some(((*name).to_owned(), value))
    };
    topic.configuration.iter().filter_map(concerns).collect()
}

fn operation(context: &Context, types: &[&str]) -> Value {
    let messages = types
        .iter()
        .map(|name| json!({ "$ref": format!("#/channels/{context}/messages/{name}") }));
    let text = |description| json!({ "type": "string", "description": description });
    json!({
        "action": "receive",
        "channel": { "$ref": format!("#/channels/{context}") },
        "title": format!("follow {context}"),
        "summary": format!("Follow the events of `{context}`, from the beginning or from a place on."),
        "messages": messages.collect::<Vec<_>>(),
        "bindings": { "kafka": {
            "groupId": text(
                "One for each purpose. Who keeps places beside results, so that each event \
                 counts once, commits nothing to the group."
            ),
            "clientId": text("Who reads, for the brokers' logs and quotas."),
            "bindingVersion": BINDING,
        }},
    })
}

fn components(name: &str, types: &[&StoredType]) -> Value {
    let messages = types
        .iter()
        .map(|stored| (stored.name.to_owned(), message(name, stored)));
    let mut schemas: Map<String, Value> = types.iter().flat_map(|stored| schemas(stored)).collect();
    let event = serde_json::from_str(EVENT).expect("a JSON document of this crate");
    schemas.insert("event".to_owned(), event);
    schemas.insert("headers".to_owned(), headers());
    json!({
        "messages": messages.collect::<Map<_, _>>(),
        "messageBindings": { "record": { "kafka": {
            "key": {
                "type": "string",
                "format": "uuid",
                "description": "The user's id, as text; what `subject` says.",
            },
            "bindingVersion": BINDING,
        }}},
        "schemas": schemas,
    })
}

fn headers() -> Value {
    json!({
        "title": "headers",
        "type": "object",
        "description": "What tells an event's kind without a look into its value.",
        "properties": {
            "content-type": { "const": "application/cloudevents+json; charset=utf-8" },
            "ce_type": { "type": "string" },
            "ce_id": { "type": "string", "format": "uuid" },
            "traceparent": { "type": "string" },
        },
        "required": ["content-type", "ce_type", "ce_id"],
    })
}

fn message(name: &str, stored: &StoredType) -> Value {
    let what = stored.schema["description"].as_str().unwrap_or_default();
    let mut message = json!({
        "name": stored.name,
        "title": stored.name,
        "summary": what,
        "contentType": "application/cloudevents+json; charset=utf-8",
        "headers": { "allOf": [
            { "$ref": format!("{SCHEMAS}headers") },
            { "properties": { "ce_type": { "const": stored.name } } },
        ]},
        "payload": { "allOf": [
            { "$ref": format!("{SCHEMAS}event") },
            { "properties": {
                "type": { "const": stored.name },
                "source": { "const": format!("/{name}/{}", stored.context) },
                "dataschema": { "const": format!("urn:{name}:schema:{}", stored.name) },
                "data": { "$ref": format!("{SCHEMAS}{}", stored.name) },
            }},
        ]},
        "bindings": { "$ref": "#/components/messageBindings/record" },
    });
    if !stored.is_current() {
        message["deprecated"] = true.into();
        message["description"] = "An older shape: events of it stay, no new ones come.".into();
    }
    message
}

/// A type's JSON Schema and what it defines, each under a name of its own.
fn schemas(stored: &StoredType) -> Vec<(String, Value)> {
    let mut schema = stored.schema.clone();
    let definitions = schema
        .as_object_mut()
        .and_then(|members| {
            members.remove("$schema");
            members.remove("$defs")
        })
        .unwrap_or_default();
    schema["title"] = stored.name.into();
    let definitions = definitions.as_object().into_iter().flatten();
    let named = definitions.map(|(name, schema)| {
        let name = format!("{}.{name}", stored.name);
        (name, schema.clone())
    });
    let mut all: Vec<(String, Value)> = named.collect();
    all.push((stored.name.to_owned(), schema));
    for (_, schema) in &mut all {
        point_to_components(schema, stored.name);
    }
    all
}

/// Turns `#/$defs/Line` into what it is called among the components.
fn point_to_components(schema: &mut Value, type_name: &str) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                let local = member
                    .as_str()
                    .filter(|_| name == "$ref")
                    .and_then(|reference| reference.strip_prefix("#/$defs/"));
                match local {
                    Some(local) => *member = format!("{SCHEMAS}{type_name}.{local}").into(),
                    None => point_to_components(member, type_name),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                point_to_components(item, type_name);
            }
        }
        _ => {}
    }
}
