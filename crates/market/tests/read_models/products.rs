//! `products`: what is on offer, and what was.

use foldline::read_model::spec::happened;
use serde_json::json;

use crate::{View, facts::*};

#[test]
fn a_product_that_is_listed_shows_with_no_stock_yet() {
    View::named("products")
        .given([listed(VASE, Some("Blue vase"), 1990)])
        .then_rows(1)
        .row(json!({ "seller_id": SELLER, "product_id": VASE }))
        .then(json!({
            "name": "Blue vase", "category": "housewares", "price_cents": 1990,
            "currency": "BRL", "stock": 0, "listed": true, "listed_at": PLACED_AT,
            "weight_g": 300,
        }));
}

#[test]
fn price_and_stock_are_what_was_last_said() {
    View::named("products")
        .given([
            listed(VASE, Some("Blue vase"), 1990),
            price_changed(VASE, 1500),
            stock_adjusted(VASE, 10, 10),
            price_changed(VASE, 1600),
            stock_adjusted(VASE, -3, 7),
        ])
        .row(json!({ "product_id": VASE }))
        .then(json!({ "price_cents": 1600, "stock": 7, "listed": true, "name": "Blue vase" }));
}

#[test]
fn a_product_that_is_delisted_stays_with_its_last_price_and_stock() {
    View::named("products")
        .given([
            listed(VASE, Some("Blue vase"), 1990),
            stock_adjusted(VASE, 4, 4),
            delisted(VASE),
        ])
        .then_rows(1)
        .row(json!({ "product_id": VASE }))
        .then(json!({ "listed": false, "price_cents": 1990, "stock": 4, "listed_at": PLACED_AT }));
}

#[test]
fn a_product_that_is_listed_again_begins_anew() {
    View::named("products")
        .given([
            listed(VASE, Some("Blue vase"), 1990),
            stock_adjusted(VASE, 4, 4),
            delisted(VASE),
            listed(VASE, None, 2500).at("2018-01-01T00:00:00Z"),
        ])
        .then_rows(1)
        .row(json!({ "product_id": VASE }))
        .then(json!({
            "name": null, "price_cents": 2500, "stock": 0, "listed": true,
            "listed_at": "2018-01-01T00:00:00.000000Z",
        }));
}

#[test]
fn several_sellers_may_offer_one_product() {
    View::named("products")
        .given([
            listed(VASE, Some("Blue vase"), 1990),
            listed(VASE, Some("Vase, blue"), 1800).by(OTHER_SELLER),
            delisted(VASE),
        ])
        .then_rows(2)
        .row(json!({ "seller_id": SELLER }))
        .then(json!({ "listed": false, "name": "Blue vase" }))
        .row(json!({ "seller_id": OTHER_SELLER }))
        .then(json!({ "listed": true, "price_cents": 1800 }));
}

#[test]
fn a_listing_of_an_old_log_shows_its_price_in_cents_and_no_name() {
    let old = json!({ "product_id": VASE, "category": "toys", "price": "129.90", "weight_g": 12 });
    View::named("products")
        .given([
            happened("product.listed.v1", old).by(SELLER),
            stock_adjusted(VASE, 2, 2),
        ])
        .then_nobody_is_parked()
        .row(json!({ "seller_id": SELLER, "product_id": VASE }))
        .then(json!({
            "name": null, "category": "toys", "price_cents": 12990, "currency": "BRL",
            "stock": 2, "listed": true, "listed_at": PLACED_AT, "weight_g": 12,
        }));
}

#[test]
fn an_old_listing_that_cannot_be_read_holds_back_its_seller_alone() {
    let broken = json!({ "product_id": LAMP, "price": "cheap" });
    View::named("products")
        .given([
            happened("product.listed.v1", broken).by(SELLER),
            listed(LAMP, Some("Lamp"), 700),
            listed(VASE, Some("Vase"), 800).by(OTHER_SELLER),
        ])
        .then_parked(SELLER, "`cheap` is no amount")
        .then_rows(1)
        .row(json!({ "seller_id": OTHER_SELLER }))
        .then(json!({ "price_cents": 800 }));
}
