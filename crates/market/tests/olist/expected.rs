//! Every row of all nine read models, as MARKET.md describes them, from the facts of a history.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::history::{Fact, History, Line, Said};

/// The rows of each read model, with the columns that MARKET.md names.
pub(crate) struct Expected {
    pub(crate) rows: BTreeMap<&'static str, Vec<Value>>,
    /// Orders that were refused: asked for, they have no row.
    pub(crate) refused_orders: Vec<String>,
}

impl Expected {
    /// What the read models must say after this history.
    pub(crate) fn of(history: &History) -> Self {
        let facts = &history.facts;
        let orders = order(facts);
        let rows = BTreeMap::from([
            ("orders_by_user", orders_by_user(&orders)),
            ("order_timeline", order_timeline(facts)),
            ("product_sales", product_sales(facts)),
            ("seller_sales", seller_sales(facts)),
            ("seller_ratings", seller_ratings(facts)),
            ("payment_mix", payment_mix(facts)),
            ("products", products(facts)),
            ("users", users(facts)),
            ("order", orders),
        ]);
        Self {
            rows,
            refused_orders: history.refused_orders.clone(),
        }
    }
}

fn order(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<&str, Value> = BTreeMap::new();
    for fact in facts {
        match &fact.said {
            Said::Placed {
                buyer,
                order,
                lines,
            } => {
                rows.insert(order, placed(buyer, order, lines, &fact.time));
            }
            Said::Stepped { order } => step(row(&mut rows, order), fact),
            Said::Captured { order, cents, .. } => add(row(&mut rows, order), "paid_cents", *cents),
            Said::Reviewed { order, score, .. } => {
                row(&mut rows, order)["review_score"] = json!(score)
            }
            _ => {}
        }
    }
    rows.into_values().collect()
}

fn placed(buyer: &str, order: &str, lines: &[Line], at: &str) -> Value {
    let items: i64 = lines.iter().map(|line| line.price).sum();
    let freight: i64 = lines.iter().map(|line| line.freight).sum();
    json!({
        "order_id": order, "user_id": buyer, "status": "placed", "placed_at": at,
        "approved_at": null, "shipped_at": null, "delivered_at": null,
        "items_cents": items, "freight_cents": freight, "total_cents": items + freight,
        "lines": lines.len(), "paid_cents": 0, "review_score": null,
    })
}

fn step(row: &mut Value, fact: &Fact) {
    let (status, column) = match fact.event {
        "order.approved.v1" => ("approved", Some("approved_at")),
        "order.shipped.v1" => ("shipped", Some("shipped_at")),
        "order.delivered.v1" => ("delivered", Some("delivered_at")),
        "order.cancelled.v1" => ("cancelled", None),
        "order.marked-unavailable.v1" => ("unavailable", None),
        other => unreachable!("{other} is no step of an order"),
    };
    row["status"] = json!(status);
    if let Some(column) = column {
        row[column] = json!(fact.time);
    }
}

fn orders_by_user(orders: &[Value]) -> Vec<Value> {
    let columns = [
        "user_id",
        "order_id",
        "status",
        "placed_at",
        "total_cents",
        "lines",
    ];
    let only = |row: &Value| {
        columns
            .iter()
            .map(|name| ((*name).into(), row[name].clone()))
            .collect()
    };
    orders.iter().map(|row| Value::Object(only(row))).collect()
}

fn order_timeline(facts: &[Fact]) -> Vec<Value> {
    let entry = |fact: &Fact| match &fact.said {
        Said::Placed { order, .. }
        | Said::Stepped { order }
        | Said::Captured { order, .. }
        | Said::Reviewed { order, .. } => {
            Some(json!({ "order_id": order, "type": fact.event, "time": fact.time }))
        }
        Said::Registered { .. } | Said::Listed { .. } => None,
    };
    facts.iter().filter_map(entry).collect()
}

fn product_sales(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<&str, Value> = BTreeMap::new();
    for (line, _) in sold(facts) {
        let row = rows.entry(&line.product).or_insert_with(
            || json!({ "product_id": line.product, "units": 0, "revenue_cents": 0 }),
        );
        add(row, "units", 1);
        add(row, "revenue_cents", line.price);
    }
    rows.into_values().collect()
}

fn seller_sales(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<(&str, &str), Value> = BTreeMap::new();
    for (line, at) in sold(facts) {
        let row = rows.entry((&line.seller, month(at))).or_insert_with(|| {
            json!({
                "seller_id": line.seller, "month": month(at),
                "lines": 0, "units": 0, "revenue_cents": 0, "freight_cents": 0,
            })
        });
        add(row, "lines", 1);
        add(row, "units", 1);
        add(row, "revenue_cents", line.price);
        add(row, "freight_cents", line.freight);
    }
    rows.into_values().collect()
}

fn seller_ratings(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<&str, Value> = BTreeMap::new();
    for fact in facts {
        let Said::Reviewed { score, sellers, .. } = &fact.said else {
            continue;
        };
        assert_eq!(
            sellers.len(),
            sellers.iter().collect::<BTreeSet<_>>().len(),
            "distinct sellers"
        );
        for seller in sellers {
            let row = rows
                .entry(seller)
                .or_insert_with(|| json!({ "seller_id": seller, "reviews": 0, "score_sum": 0 }));
            add(row, "reviews", 1);
            add(row, "score_sum", *score);
        }
    }
    rows.into_values().collect()
}

fn payment_mix(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<(&str, &str), Value> = BTreeMap::new();
    for fact in facts {
        let Said::Captured { method, cents, .. } = &fact.said else {
            continue;
        };
        let row = rows.entry((month(&fact.time), method)).or_insert_with(|| {
            json!({
                "month": month(&fact.time), "method": method,
                "payments": 0, "amount_cents": 0, "refunded_cents": 0,
            })
        });
        add(row, "payments", 1);
        add(row, "amount_cents", *cents);
    }
    rows.into_values().collect()
}

fn products(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<(&str, &str), Value> = BTreeMap::new();
    for fact in facts {
        let Said::Listed {
            seller,
            product,
            category,
            price,
            weight,
        } = &fact.said
        else {
            continue;
        };
        let row = json!({
            "seller_id": seller, "product_id": product, "name": null, "category": category,
            "price_cents": price, "stock": 0, "listed": true, "listed_at": fact.time,
            "weight_g": weight,
        });
        rows.insert((seller, product), row);
    }
    rows.into_values().collect()
}

fn users(facts: &[Fact]) -> Vec<Value> {
    let mut rows: BTreeMap<&str, Value> = BTreeMap::new();
    for fact in facts {
        match &fact.said {
            Said::Registered {
                person,
                city,
                state,
            } => {
                rows.insert(person, user(person, city, state));
            }
            Said::Placed { buyer, .. } => {
                let row = row(&mut rows, buyer);
                add(row, "orders", 1);
                // Written so, the later time is the greater text.
                let first = row["first_order_at"]
                    .as_str()
                    .is_none_or(|at| *fact.time < *at);
                let last = row["last_order_at"]
                    .as_str()
                    .is_none_or(|at| *fact.time > *at);
                for (column, moved) in [("first_order_at", first), ("last_order_at", last)] {
                    if moved {
                        row[column] = json!(fact.time);
                    }
                }
            }
            Said::Captured { buyer, cents, .. } => {
                add(row(&mut rows, buyer), "spent_cents", *cents)
            }
            _ => {}
        }
    }
    rows.into_values().collect()
}

/// The row of `users` of a person who has done nothing but register.
pub(crate) fn user(person: &str, city: &str, state: &str) -> Value {
    json!({
        "user_id": person, "city": city, "state": state, "name": null, "closed_at": null,
        "orders": 0, "spent_cents": 0, "first_order_at": null, "last_order_at": null,
    })
}

/// Every line of every placed order, with the time of the order.
fn sold(facts: &[Fact]) -> impl Iterator<Item = (&Line, &str)> {
    facts.iter().flat_map(|fact| {
        let lines = match &fact.said {
            Said::Placed { lines, .. } => lines.as_slice(),
            _ => &[],
        };
        lines.iter().map(|line| (line, fact.time.as_str()))
    })
}

fn row<'a>(rows: &'a mut BTreeMap<&str, Value>, key: &str) -> &'a mut Value {
    rows.get_mut(key)
        .unwrap_or_else(|| panic!("nothing came before this of {key}"))
}

fn add(row: &mut Value, column: &str, by: i64) {
    row[column] = json!(row[column].as_i64().expect("a number") + by);
}

fn month(time: &str) -> &str {
    &time[..7]
}
