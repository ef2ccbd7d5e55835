//! Older shapes are read as the newest; what the binary does not know is told apart from what it
//! cannot read.

use foldline_kernel::Context;
use foldline_schema::{Catalog, Event, StoredEvents, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::examples::{STAMP, log_name, plain};

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct NamedV1 {
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct NamedV2 {
    names: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct NamedV3 {
    names: Vec<String>,
    port: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Sunk {}

foldline_schema::stored_events! {
    /// What happens to a boat.
    #[derive(Debug, PartialEq)]
    enum BoatEvent {
        "boat.named.v3" => Named(NamedV3),
        "boat.sunk.v1" => Sunk(Sunk),
    }
    from "boat.named.v1"(NamedV1) => "boat.named.v2" by |data| {
        let name = data.get("name").and_then(Value::as_str).ok_or("`name` is no text")?;
        Ok(json!({ "names": [name] }))
    };
    from "boat.named.v2"(NamedV2) => "boat.named.v3" by |mut data| {
        data["port"] = "unknown".into();
        Ok(data)
    };
}

fn boats() -> Context {
    "boats".parse().unwrap()
}

fn catalog() -> Catalog {
    Catalog::default().with::<BoatEvent>(&boats())
}

fn event(type_name: &str, data: &str) -> Event {
    let mut new = plain();
    new.context = boats();
    new.type_name = type_name.into();
    new.data = data.to_owned().into();
    encode(&log_name(), new, STAMP)
}

fn named(name: &str, port: &str) -> BoatEvent {
    BoatEvent::Named(NamedV3 {
        names: vec![name.into()],
        port: port.into(),
    })
}

#[test]
fn every_older_shape_is_read_as_the_newest() {
    for (type_name, data, due) in [
        (
            "boat.named.v1",
            r#"{"name":"Ida"}"#,
            named("Ida", "unknown"),
        ),
        (
            "boat.named.v2",
            r#"{"names":["Ida"]}"#,
            named("Ida", "unknown"),
        ),
        (
            "boat.named.v3",
            r#"{"names":["Ida"],"port":"Kiel"}"#,
            named("Ida", "Kiel"),
        ),
        (
            "boat.sunk.v1",
            r#"{"since":"a newer writer's"}"#,
            BoatEvent::Sunk(Sunk {}),
        ),
    ] {
        let event = event(type_name, data);
        let current = catalog().current(&event).unwrap();
        assert_eq!(current.type_name, due.type_name());
        assert_eq!(catalog().current_type(&event).unwrap(), due.type_name());
        assert_eq!(catalog().read::<BoatEvent>(&event).unwrap(), due);
    }
}

#[test]
fn the_record_itself_stays_as_it_was_stored() {
    let event = event("boat.named.v1", r#"{"name":"Ida"}"#);
    catalog().current(&event).unwrap();
    assert_eq!(event.type_name.as_ref(), "boat.named.v1");
    assert_eq!(event.json().unwrap(), json!({"name": "Ida"}));
}

#[test]
fn a_type_that_is_not_known_is_no_unreadable_data() {
    let unknown = event("boat.raised.v1", "{}");
    let error = catalog().current_type(&unknown).unwrap_err();
    assert_eq!(error.type_name, "boat.raised.v1");
    let mut elsewhere = event("boat.sunk.v1", "{}");
    elsewhere.context = "trains".parse().unwrap();
    let error = catalog().current_type(&elsewhere).unwrap_err();
    assert_eq!(error.context.as_str(), "trains");
}

#[test]
fn data_that_has_not_its_types_shape_is_told() {
    for (type_name, data, trouble) in [
        (
            "boat.named.v1",
            r#"{"name":7}"#,
            "no `boat.named.v2` from `boat.named.v1`: `name` is no text",
        ),
        ("boat.named.v3", r#"{"names":[]}"#, "missing field `port`"),
    ] {
        let error = catalog()
            .read::<BoatEvent>(&event(type_name, data))
            .unwrap_err();
        assert!(error.to_string().contains(trouble), "{error}");
    }
}

#[test]
fn each_type_knows_whether_it_is_current() {
    let catalog = catalog();
    let current = |name: &str| catalog.get(name).map(|stored| stored.is_current());
    assert_eq!(current("boat.named.v1"), Some(false));
    assert_eq!(current("boat.named.v3"), Some(true));
    assert_eq!(current("boat.raised.v1"), None);
    assert_eq!(catalog.types().count(), 4);
}

#[test]
#[should_panic(expected = "`boat.named.v3` is declared twice")]
fn a_type_is_declared_once() {
    let _ = catalog().with::<BoatEvent>(&"trains".parse().unwrap());
}
