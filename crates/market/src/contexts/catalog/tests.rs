//! The rules of the catalog, and its one older shape.

use foldline::kernel::Commands;
use foldline::kernel::spec::given;

use super::*;
use crate::contexts::examples::PRODUCT;

fn list(price_cents: i64) -> ListProduct {
    ListProduct {
        product_id: PRODUCT,
        name: Some("Caneca".try_into().unwrap()),
        category: Some("housewares".try_into().unwrap()),
        price_cents: price_cents.try_into().unwrap(),
        currency: Currency::BRL,
        weight_g: Some(300),
        length_cm: None,
        height_cm: None,
        width_cm: None,
        photos: None,
    }
}

fn listed() -> CatalogEvent {
    Listed {
        product_id: PRODUCT,
        name: Some("Caneca".into()),
        category: Some("housewares".into()),
        price_cents: 1990,
        currency: Currency::BRL,
        weight_g: Some(300),
        length_cm: None,
        height_cm: None,
        width_cm: None,
        photos: None,
    }
    .into()
}

fn delisted() -> CatalogEvent {
    Delisted {
        product_id: PRODUCT,
    }
    .into()
}

fn adjusted(by: i64, stock: i64) -> CatalogEvent {
    StockAdjusted {
        product_id: PRODUCT,
        by,
        stock,
    }
    .into()
}

fn ask(price_cents: i64, currency: Option<&str>) -> ChangePrice {
    ChangePrice {
        product_id: PRODUCT,
        price_cents: price_cents.try_into().unwrap(),
        currency: currency.map(|text| text.parse().unwrap()),
    }
}

fn asked(price_cents: i64, currency: &str) -> CatalogEvent {
    PriceChanged {
        product_id: PRODUCT,
        price_cents,
        currency: currency.parse().unwrap(),
    }
    .into()
}

fn adjust(by: i64) -> AdjustStock {
    AdjustStock {
        product_id: PRODUCT,
        by,
    }
}

const DELIST: DelistProduct = DelistProduct {
    product_id: PRODUCT,
};

#[test]
fn a_product_is_listed_once() {
    given::<Catalog>([]).when(list(1990)).then([listed()]);
    given::<Catalog>([listed()])
        .when(list(2990))
        .then_rejected("product-already-listed");
}

#[test]
fn a_product_that_was_delisted_starts_afresh() {
    let history = [listed(), adjusted(5, 5), delisted()];
    given::<Catalog>(history.clone())
        .when(list(1990))
        .then([listed()]);
    let again = history.into_iter().chain([listed()]);
    given::<Catalog>(again)
        .when(adjust(-1))
        .then_rejected("stock-would-be-negative");
}

#[test]
fn a_price_changes_to_another() {
    given::<Catalog>([listed()])
        .when(ask(2490, None))
        .then([asked(2490, "BRL")]);
    given::<Catalog>([listed()])
        .when(ask(1990, Some("EUR")))
        .then([asked(1990, "EUR")]);
    given::<Catalog>([listed(), asked(500, "EUR")])
        .when(ask(0, None))
        .then([asked(0, "EUR")]);
}

#[test]
fn the_price_it_has_is_no_change() {
    given::<Catalog>([listed()])
        .when(ask(1990, Some("BRL")))
        .then_nothing();
    given::<Catalog>([listed(), asked(500, "BRL")])
        .when(ask(500, None))
        .then_nothing();
}

#[test]
fn stock_is_counted_and_never_below_zero() {
    given::<Catalog>([listed()])
        .when(adjust(5))
        .then([adjusted(5, 5)]);
    given::<Catalog>([listed(), adjusted(5, 5)])
        .when(adjust(-5))
        .then([adjusted(-5, 0)]);
    given::<Catalog>([listed(), adjusted(5, 5)])
        .when(adjust(-6))
        .then_rejected("stock-would-be-negative");
    given::<Catalog>([listed(), adjusted(5, 5)])
        .when(adjust(i64::MIN))
        .then_rejected("stock-would-be-negative");
}

#[test]
fn stock_that_cannot_be_counted_is_refused_and_never_wraps() {
    given::<Catalog>([listed(), adjusted(1, 1)])
        .when(adjust(i64::MAX))
        .then_rejected("stock-too-large");
}

#[test]
fn nothing_that_came_or_went_is_nothing() {
    given::<Catalog>([listed()]).when(adjust(0)).then_nothing();
}

#[test]
fn only_what_is_on_offer_changes() {
    let commands =
        || -> [CatalogCommand; 3] { [ask(1, None).into(), adjust(1).into(), DELIST.into()] };
    for command in commands() {
        given::<Catalog>([])
            .when(command)
            .then_rejected("unknown-product");
    }
    for command in commands() {
        given::<Catalog>([listed(), delisted()])
            .when(command)
            .then_rejected("product-not-listed");
    }
    given::<Catalog>([listed()]).when(DELIST).then([delisted()]);
}

#[test]
fn facts_about_an_unknown_product_are_passed_over() {
    let state = given::<Catalog>([asked(1, "BRL"), adjusted(1, 1), delisted()]).state();
    assert_eq!(state, CatalogState::default());
}

#[test]
fn the_state_survives_a_snapshot() {
    let state = given::<Catalog>([listed(), adjusted(5, 5)]).state();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<CatalogState>(&json).unwrap(), state);
}

#[test]
fn a_body_that_is_no_product_is_pointed_at() {
    let id = PRODUCT;
    for (body, pointer) in [
        (
            format!(r#"{{"product_id":"{id}","price_cents":-1}}"#),
            "/price_cents",
        ),
        (
            format!(r#"{{"product_id":"{id}","price_cents":"1"}}"#),
            "/price_cents",
        ),
        (
            format!(r#"{{"product_id":"{id}","price_cents":1,"weight_g":-3}}"#),
            "/weight_g",
        ),
        (
            format!(r#"{{"product_id":"{id}","price_cents":1,"name":"a\u0000"}}"#),
            "/name",
        ),
        (
            format!(r#"{{"product_id":"{id}","price_cents":1,"price":1}}"#),
            "/price",
        ),
    ] {
        let wrong = CatalogCommand::decode("list-product", body.as_bytes());
        assert_eq!(wrong.unwrap().unwrap_err().pointer, pointer, "{body}");
    }
}
