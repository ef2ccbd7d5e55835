//! The JSON Schemas of every stored type, as they are published in `schemas/`.

use foldline::kernel::Decider;
use foldline::schema::{Catalog, StoredEvents, StoredType};
use serde_json::Value;

use crate::LOG_NAME;
use crate::contexts::{accounts, catalog, orders, payments, reviews};

/// Returns every stored type of the marketplace, current and older.
pub fn catalog() -> Catalog {
    let catalog = Catalog::default();
    let catalog = with::<accounts::Accounts>(catalog);
    let catalog = with::<catalog::Catalog>(catalog);
    let catalog = with::<orders::Orders>(catalog);
    let catalog = with::<payments::Payments>(catalog);
    with::<reviews::Reviews>(catalog)
}

fn with<D: Decider<Event: StoredEvents>>(catalog: Catalog) -> Catalog {
    let context = D::CONTEXT.parse().expect("every context here has a name");
    catalog.with::<D::Event>(&context)
}

/// Returns a type's JSON Schema as a document of its own: its `$id` is the `dataschema` of the
/// type's events, its title the stored name.
pub fn document(stored: &StoredType) -> Value {
    let mut schema = stored.schema.clone();
    schema["$id"] = format!("urn:{LOG_NAME}:schema:{}", stored.name).into();
    schema["title"] = stored.name.into();
    // One sequence of members, whatever the dependencies make of JSON maps.
    schema.sort_all_objects();
    schema
}
