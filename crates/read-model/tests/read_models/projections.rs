//! What the marketplace's read models say, event by event.

use std::path::Path;

use foldline_kernel::{UserId, spec::USER};
use foldline_read_model::{
    Access, Field, Model, load_dir,
    spec::{happened, spec},
};
use serde_json::json;
use uuid::Uuid;

use crate::catalog::{ORDER, OTHER_SELLER, PRODUCT, SELLER, catalog, placed, step};

const OTHER_USER: UserId = UserId(Uuid::from_u128(99));

fn model(name: &str) -> Model {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../projections");
    let models = load_dir(&directory, &catalog()).unwrap_or_else(|errors| panic!("{errors}"));
    let mut models = models.into_iter();
    models
        .find(|model| model.name.as_ref() == name)
        .unwrap_or_else(|| panic!("projections/ has no {name}"))
}

fn payment(amount: i64) -> serde_json::Value {
    json!({ "payment_id": ORDER, "order_id": ORDER, "method": "voucher", "installments": 1,
        "amount_cents": amount, "currency": "BRL", "captured_at": "2017-08-31T23:59:59.000000Z",
        "placed_at": "2017-07-14T02:40:00.000000Z" })
}

#[test]
fn an_order_collects_what_three_contexts_say_of_it() {
    let (model, catalog) = (model("order"), catalog());
    assert!(model.follows_lanes());
    spec(&model, &catalog)
        .given([
            happened("order.placed.v1", placed(ORDER, &[(SELLER, 2, 500)])),
            happened("payment.captured.v1", payment(1007)),
            happened("order.shipped.v1", step(ORDER)).at("2017-08-01T00:00:00Z"),
            happened("payment.refunded.v1", payment(7)),
            happened(
                "review.written.v1",
                json!({ "order_id": ORDER, "score": 4, "seller_ids": [SELLER] }),
            ),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({
            "user_id": USER.to_string(), "status": "shipped",
            "placed_at": "2017-07-14T02:40:00.000000Z", "approved_at": null,
            "shipped_at": "2017-08-01T00:00:00.000000Z", "delivered_at": null,
            "items_cents": 1000, "freight_cents": 7, "total_cents": 1007, "lines": 1,
            "paid_cents": 1000, "review_score": 4,
        }))
        .then_nobody_is_parked();
}

#[test]
fn an_order_shows_once_it_is_placed() {
    let (model, catalog) = (model("order"), catalog());
    spec(&model, &catalog)
        .given([happened("payment.captured.v1", payment(1))])
        .row(json!({ "order_id": ORDER }))
        .then_nothing();
}

#[test]
fn two_buyers_may_choose_the_same_order_id() {
    let (model, catalog) = (model("order"), catalog());
    let user = model
        .user_column
        .map(|column| model.columns[column].name.to_string());
    assert_eq!(user.as_deref(), Some("_user"));
    spec(&model, &catalog)
        .given([
            happened("order.placed.v1", placed(ORDER, &[(SELLER, 1, 1)])),
            happened("order.placed.v1", placed(ORDER, &[])).by(OTHER_USER),
        ])
        .then_rows(2)
        .row(json!({ "user_id": OTHER_USER.to_string() }))
        .then(json!({ "order_id": ORDER, "lines": 0 }));
}

#[test]
fn the_orders_of_a_user_lie_newest_first() {
    let (model, catalog) = (model("orders_by_user"), catalog());
    assert_eq!((model.partition_length, model.user_column), (1, Some(0)));
    assert_eq!(
        model.query("mine").unwrap().orders[0].name.as_ref(),
        "placed_at desc"
    );
    spec(&model, &catalog)
        .given([
            happened(
                "order.placed.v1",
                placed(ORDER, &[(SELLER, 1, 1), (SELLER, 1, 1)]),
            ),
            happened("order.cancelled.v1", step(ORDER)),
        ])
        .row(json!({ "user_id": USER.to_string(), "order_id": ORDER }))
        .then(json!({ "status": "cancelled", "lines": 2, "total_cents": 9 }));
}

#[test]
fn a_timeline_has_a_row_for_each_event_of_an_order() {
    let (model, catalog) = (model("order_timeline"), catalog());
    let key = model.columns[..model.key_length].iter();
    let key: Vec<_> = key.map(|column| column.name.as_ref()).collect();
    assert_eq!(key, ["order_id", "_user", "at"]);
    spec(&model, &catalog)
        .given([
            happened("order.placed.v1", placed(ORDER, &[])),
            happened("payment.captured.v1", payment(1)).at("2017-07-15T00:00:00Z"),
        ])
        .then_rows(2)
        .row(json!({ "at": 2 }))
        .then(json!({ "type": "payment.captured.v1", "time": "2017-07-15T00:00:00.000000Z" }));
}

#[test]
fn every_line_counts_for_its_seller_and_its_product() {
    let catalog = catalog();
    let lines = [(SELLER, 2, 500), (OTHER_SELLER, 1, 100), (SELLER, 1, 30)];
    let events = || {
        [
            happened("order.placed.v1", placed(ORDER, &lines)),
            happened("order.placed.v1", placed(ORDER, &lines[..1])).by(OTHER_USER),
        ]
    };
    spec(&model("seller_sales"), &catalog)
        .given(events())
        .row(json!({ "seller_id": SELLER, "month": "2017-07" }))
        .then(json!({ "lines": 3, "units": 5, "revenue_cents": 2030, "freight_cents": 21 }))
        .row(json!({ "seller_id": OTHER_SELLER }))
        .then(json!({ "lines": 1, "units": 1, "revenue_cents": 100 }));
    spec(&model("product_sales"), &catalog)
        .given(events())
        .row(json!({ "product_id": PRODUCT }))
        .then(json!({ "units": 6, "revenue_cents": 2130 }));
}

#[test]
fn sellers_are_rated_by_the_mean_of_their_scores() {
    let (model, catalog) = (model("seller_ratings"), catalog());
    let best = &model.query("best").unwrap().orders[0];
    assert_eq!(best.terms[0].field, Field::Derived(0));
    let review = |score: i64| {
        let sellers = [SELLER, OTHER_SELLER];
        happened(
            "review.written.v1",
            json!({ "order_id": ORDER, "score": score, "seller_ids": sellers }),
        )
    };
    spec(&model, &catalog)
        .given([review(5), review(2)])
        .row(json!({ "seller_id": OTHER_SELLER }))
        .then(json!({ "reviews": 2, "score_sum": 7 }));
}

#[test]
fn a_refund_counts_in_the_month_of_its_payment() {
    let (model, catalog) = (model("payment_mix"), catalog());
    spec(&model, &catalog)
        .given([
            happened("payment.captured.v1", payment(50)).at("2017-08-31T23:59:59Z"),
            happened("payment.refunded.v1", payment(20)).at("2017-10-01T00:00:00Z"),
        ])
        .then_rows(1)
        .row(json!({ "month": "2017-08", "method": "voucher" }))
        .then(json!({ "payments": 1, "amount_cents": 50, "refunded_cents": 20 }));
}

#[test]
fn a_product_that_is_listed_again_begins_anew() {
    let (model, catalog) = (model("products"), catalog());
    let orders = model.query("search").unwrap().orders.iter();
    let orders: Vec<_> = orders.map(|order| order.name.as_ref()).collect();
    assert_eq!(orders, ["price_cents", "newest"]);
    let product = |more: serde_json::Value| {
        let mut data = json!({ "product_id": PRODUCT, "price_cents": 990, "currency": "BRL" });
        data.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        data
    };
    let listed = product(json!({ "name": "Vase", "category": null, "weight_g": 300 }));
    spec(&model, &catalog)
        .given([
            happened("product.listed.v2", listed),
            happened(
                "product.stock-adjusted.v1",
                product(json!({ "by": 3, "stock": 3 })),
            ),
            happened("product.delisted.v1", product(json!({}))),
        ])
        .row(json!({ "product_id": PRODUCT, "seller_id": USER.to_string() }))
        .then(json!({ "name": "Vase", "stock": 3, "listed": false, "weight_g": 300 }));
    let old = json!({ "product_id": PRODUCT, "price": "12.50", "currency": "BRL" });
    spec(&model, &catalog)
        .given([
            happened("product.listed.v2", product(json!({ "name": "Vase" }))),
            happened("product.listed.v1", old).at("2017-07-15T00:00:00Z"),
        ])
        .row(json!({ "product_id": PRODUCT }))
        .then(json!({ "name": null, "stock": 0, "listed": true, "price_cents": 1250 }));
}

#[test]
fn a_profile_change_leaves_what_it_does_not_say() {
    let (model, catalog) = (model("users"), catalog());
    assert_eq!(model.query("me").unwrap().access, Access::Owner);
    spec(&model, &catalog)
        .given([
            happened(
                "account.registered.v1",
                json!({ "name": { "plain": "Ana" }, "city": "Recife", "state": "PE" }),
            ),
            happened("account.profile-changed.v1", json!({ "city": null })),
            happened("order.placed.v1", placed(ORDER, &[])),
            happened("payment.captured.v1", payment(50)),
        ])
        .row(json!({ "user_id": USER.to_string() }))
        .then(json!({
            "name": "Ana", "city": null, "state": "PE", "closed_at": null, "orders": 1,
            "spent_cents": 50, "first_order_at": "2017-07-14T02:40:00.000000Z",
            "last_order_at": "2017-07-14T02:40:00.000000Z",
        }));
    spec(&model, &catalog)
        .given([happened(
            "account.registered.v1",
            json!({ "name": { "sealed": "AAEC", "key": "k1" } }),
        )])
        .row(json!({ "user_id": USER.to_string() }))
        .then(json!({ "name": null }));
}

#[test]
fn an_event_that_does_not_fit_parks_its_user_alone() {
    let (model, catalog) = (model("seller_sales"), catalog());
    let too_much = placed(ORDER, &[(OTHER_SELLER, 1, 10), (SELLER, 1, i64::MAX)]);
    spec(&model, &catalog)
        .given([
            happened("order.placed.v1", placed(ORDER, &[(SELLER, 1, 1)])),
            happened("order.placed.v1", too_much),
            happened("order.placed.v1", placed(ORDER, &[(SELLER, 1, 1)])),
            happened("order.placed.v1", placed(ORDER, &[(SELLER, 1, 5)])).by(OTHER_USER),
        ])
        .then_parked(USER, "beyond 2^53")
        .then_rows(1)
        .row(json!({ "seller_id": SELLER }))
        .then(json!({ "lines": 2, "revenue_cents": 6 }));
}
