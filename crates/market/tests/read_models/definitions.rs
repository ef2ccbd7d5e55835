//! What MARKET.md fixes of every read model: its table, what feeds it, its key, its queries.

use foldline::read_model::{Access, Field, Model, Order, OrderTerm, TableKind};

use crate::models;

/// A read model as it is promised: name, table, sources, key, and each query with who may ask.
type Promise = (
    &'static str,
    TableKind,
    &'static [&'static str],
    &'static [&'static str],
    &'static [(&'static str, Access)],
);

const PROMISES: [Promise; 9] = [
    (
        "order",
        TableKind::Wide,
        &["orders", "payments", "reviews"],
        &["order_id", "_user"],
        &[("by_id", Access::Owner)],
    ),
    (
        "order_timeline",
        TableKind::Wide,
        &["orders", "payments", "reviews"],
        &["order_id", "_user", "at"],
        &[("of", Access::Owner)],
    ),
    (
        "orders_by_user",
        TableKind::Wide,
        &["orders"],
        &["user_id", "placed_at", "order_id"],
        &[("mine", Access::Owner)],
    ),
    (
        "payment_mix",
        TableKind::Relational,
        &["payments"],
        &["month", "method"],
        &[("of", Access::Staff)],
    ),
    (
        "product_sales",
        TableKind::Wide,
        &["orders"],
        &["product_id"],
        &[("of", Access::Public)],
    ),
    (
        "products",
        TableKind::Relational,
        &["catalog"],
        &["seller_id", "product_id"],
        &[("search", Access::Public), ("of", Access::Public)],
    ),
    (
        "seller_ratings",
        TableKind::Relational,
        &["reviews"],
        &["seller_id"],
        &[("of", Access::Public), ("best", Access::Public)],
    ),
    (
        "seller_sales",
        TableKind::Relational,
        &["orders"],
        &["seller_id", "month"],
        &[("of", Access::Public), ("top", Access::Public)],
    ),
    (
        "users",
        TableKind::Relational,
        &["accounts", "orders", "payments"],
        &["user_id"],
        &[("me", Access::Owner), ("by_state", Access::Staff)],
    ),
];

#[test]
fn the_nine_read_models_are_as_they_are_promised() {
    let models = models();
    assert_eq!(models.len(), PROMISES.len());
    for (model, (name, table, source, key, queries)) in models.iter().zip(PROMISES) {
        assert_eq!(model.name.as_ref(), name);
        assert_eq!(model.table, table, "{name}");
        let sources: Vec<_> = model
            .source
            .iter()
            .map(|context| context.as_str())
            .collect();
        assert_eq!(sources, source, "{name}");
        assert_eq!(key_of(model), key, "{name}");
        let asked = model.queries.iter();
        let asked: Vec<_> = asked
            .map(|query| (query.name.as_ref(), query.access.clone()))
            .collect();
        assert_eq!(asked, queries, "{name}");
    }
}

#[test]
fn lists_come_in_the_order_that_is_promised() {
    let models = models();
    for (name, query, orders) in [
        ("orders_by_user", "mine", &["placed_at desc, order_id"][..]),
        ("order_timeline", "of", &["_user, at"]),
        ("seller_sales", "of", &["month, seller_id"]),
        (
            "seller_sales",
            "top",
            &["revenue_cents desc, seller_id, month"],
        ),
        ("seller_ratings", "best", &["mean desc, seller_id"]),
        (
            "products",
            "search",
            &[
                "price_cents, seller_id, product_id",
                "listed_at desc, seller_id, product_id",
            ],
        ),
        ("users", "by_state", &["spent_cents desc, user_id"]),
    ] {
        let model = models.iter().find(|model| model.name.as_ref() == name);
        let model = model.expect("it is one of the nine");
        let query = model.query(query).expect("it is one of its queries");
        let found: Vec<_> = query
            .orders
            .iter()
            .map(|order| written(model, order))
            .collect();
        assert_eq!(found, orders, "{name}/{}", query.name);
    }
}

fn key_of(model: &Model) -> Vec<&str> {
    let key = model.columns[..model.key_length].iter();
    key.map(|column| column.name.as_ref()).collect()
}

/// The terms of an order as a definition would write them, the appended key included.
fn written(model: &Model, order: &Order) -> String {
    let term = |term: &OrderTerm| {
        let name = match term.field {
            Field::Column(column) => &model.columns[column].name,
            Field::Derived(derived) => &model.derived[derived].name,
        };
        format!("{name}{}", if term.descending { " desc" } else { "" })
    };
    order.terms.iter().map(term).collect::<Vec<_>>().join(", ")
}
