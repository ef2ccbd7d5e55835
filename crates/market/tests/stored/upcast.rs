//! `product.listed.v1`, as it lies in old logs, is read as `product.listed.v2`.

use bytes::Bytes;
use foldline::schema::{Event, decode};
use market::Currency;
use market::contexts::catalog::{CatalogEvent, Listed};
use serde_json::{Value, json};

use crate::events::read;
use crate::examples::{Example, PRODUCT, listed};
use crate::golden;

/// Nothing writes this type any more, so its golden was written once, by hand.
fn stored_v1() -> Event {
    let kept = golden::read(&golden::events().join("product.listed.v1.json"));
    decode(Bytes::from(kept)).expect("a record")
}

#[test]
fn the_stored_v1_is_read_as_v2_with_exact_cents() {
    let event = stored_v1();
    let due = Listed {
        name: None,
        ..listed()
    };
    assert_eq!(read(&event), Example::Catalog(due.into()));
}

#[test]
fn read_models_see_v2_only() {
    let (catalog, event) = (market::catalog(), stored_v1());
    let current = catalog.current(&event).expect("data that can be upcast");
    assert_eq!(current.type_name, "product.listed.v2");
    let stored = catalog.get(current.type_name).expect("a stored type");
    let validator = jsonschema::validator_for(&stored.schema).expect("a schema");
    assert!(validator.is_valid(&current.data), "{}", current.data);
    assert_eq!(current.data["price_cents"], 12_990);
    assert_eq!(current.data["currency"], "BRL");
    assert_eq!(current.data.get("price"), None);
}

#[test]
fn the_stored_v1_keeps_to_its_schema() {
    let (catalog, event) = (market::catalog(), stored_v1());
    let stored = catalog.get("product.listed.v1").expect("a stored type");
    assert!(!stored.is_current());
    let validator = jsonschema::validator_for(&stored.schema).expect("a schema");
    assert!(validator.is_valid(&event.json().expect("JSON")));
}

#[test]
fn a_currency_that_v1_names_is_kept() {
    let event = with_data(&json!({"product_id": PRODUCT, "price": "0.1", "currency": "EUR"}));
    let Example::Catalog(CatalogEvent::Listed(listed)) = read(&event) else {
        panic!("not a listing");
    };
    assert_eq!(listed.price_cents, 10);
    assert_eq!(
        listed.currency,
        "EUR".parse::<Currency>().expect("a currency")
    );
}

/// Such data holds back its user: the price is told, not guessed.
#[test]
fn a_price_that_is_no_amount_of_cents_is_told() {
    for (data, trouble) in [
        (
            json!({"product_id": PRODUCT, "price": "12.345"}),
            "`12.345`",
        ),
        (json!({"product_id": PRODUCT, "price": "-1"}), "`-1`"),
        (
            json!({"product_id": PRODUCT, "price": 12.5}),
            "`price` is no text",
        ),
        (json!({"product_id": PRODUCT}), "`price` is no text"),
        (json!([1]), "data is no object"),
    ] {
        let event = with_data(&data);
        let error = market::catalog().current(&event).expect_err("no amount");
        assert!(error.to_string().contains(trouble), "{error}");
    }
}

fn with_data(data: &Value) -> Event {
    let mut record: Value = serde_json::from_slice(&stored_v1().record).expect("JSON");
    record["data"] = data.clone();
    decode(Bytes::from(record.to_string())).expect("a record")
}
