//! The figures that are known of the real data, so that the expectation itself is checked.

use std::collections::BTreeMap;

use crate::dataset::Olist;
use crate::expected::Expected;
use crate::history::History;

#[test]
fn the_history_of_the_data_set_has_the_known_figures() {
    let olist = Olist::find();
    let history = History::of(&olist);
    let refused: u64 = history.refused.values().sum();
    assert_eq!(history.sent, history.facts.len() as u64 + refused);
    if !olist.real {
        return;
    }
    assert_eq!(history.sent, 126_533);
    assert_eq!(history.facts.len(), 125_957);
    let codes = BTreeMap::from([("order-without-lines", 118), ("unknown-order", 458)]);
    assert_eq!(history.refused, codes);
    let events = BTreeMap::from([
        ("account.registered.v1", 18_489),
        ("product.listed.v2", 9_506),
        ("order.placed.v1", 17_035),
        ("order.approved.v1", 17_027),
        ("order.shipped.v1", 16_877),
        ("order.delivered.v1", 16_727),
        ("order.cancelled.v1", 74),
        ("order.marked-unavailable.v1", 3),
        ("payment.captured.v1", 17_869),
        ("review.written.v1", 12_350),
    ]);
    assert_eq!(history.events(), events);
}

#[test]
fn the_made_up_sample_has_every_oddity_of_the_real_data() {
    let sheets = crate::sample::sheets(&mut crate::dice::Dice::new(1));
    let history = History::of(&Olist::write(&sheets));
    for code in [
        "order-without-lines",
        "unknown-order",
        "order-already-delivered",
    ] {
        assert!(
            history.refused.contains_key(code),
            "nothing is refused as {code}"
        );
    }
    assert_eq!(
        history.events().len(),
        10,
        "some kind of event never happens"
    );
    let rows = Expected::of(&history).rows;
    let some =
        |model: &str, test: &dyn Fn(&serde_json::Value) -> bool| rows[model].iter().any(test);
    assert!(
        some("users", &|user| user["orders"].as_i64() > Some(2)),
        "nobody buys again"
    );
    assert!(some("products", &|product| product["category"].is_null()));
    assert!(
        some("products", &|product| product["category"] == "pc_gamer"),
        "all is translated"
    );
    assert!(
        some("order", &|order| order["paid_cents"] == 0),
        "every order is paid"
    );
    assert!(some("order", &|order| {
        order["shipped_at"].is_null() && order["status"] == "delivered"
    }));
}
