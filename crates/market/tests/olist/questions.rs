//! Every question that the read models answer about a data set, with the rows that must come back.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use serde_json::Value;

use crate::expected::Expected;

/// A query, its parameters, and all rows of its answer.
pub(crate) struct Question {
    pub(crate) model: &'static str,
    pub(crate) query: &'static str,
    pub(crate) parameters: Vec<(&'static str, String)>,
    pub(crate) rows: Vec<Value>,
    /// Whether the rows are promised in this order, or in any.
    pub(crate) ordered: bool,
    /// How many rows to ask for at a time; none leaves it to the server.
    pub(crate) page: Option<usize>,
}

type Comparison = fn(&Value, &Value) -> Ordering;

/// Every row of every read model, through every query that leads to it.
pub(crate) fn questions(expected: &Expected) -> Vec<Question> {
    let rows = |model: &str| expected.rows[model].as_slice();
    let mut all = Vec::new();
    all.extend(by(
        rows("orders_by_user"),
        "orders_by_user",
        "mine",
        "user_id",
        Some(newest_first),
    ));
    all.extend(by(rows("order"), "order", "by_id", "order_id", None));
    all.extend(by(
        rows("order_timeline"),
        "order_timeline",
        "of",
        "order_id",
        Some(as_it_happened),
    ));
    all.extend(by(
        rows("product_sales"),
        "product_sales",
        "of",
        "product_id",
        None,
    ));
    all.extend(by(
        rows("seller_sales"),
        "seller_sales",
        "of",
        "seller_id",
        None,
    ));
    all.extend(by(
        rows("seller_sales"),
        "seller_sales",
        "top",
        "month",
        Some(most_revenue_first),
    ));
    all.extend(by(
        rows("seller_ratings"),
        "seller_ratings",
        "of",
        "seller_id",
        None,
    ));
    all.extend(by(rows("payment_mix"), "payment_mix", "of", "month", None));
    all.extend(by(rows("products"), "products", "of", "seller_id", None));
    all.extend(by(rows("users"), "users", "me", "user_id", None));
    all.extend(by(
        rows("users"),
        "users",
        "by_state",
        "state",
        Some(most_spent_first),
    ));
    all.extend(best_sellers(rows("seller_ratings")));
    all.extend(months_of_sellers(rows("seller_sales")));
    all.extend(searches(rows("products")));
    all.extend(nothing_of(&expected.refused_orders));
    for (number, question) in all.iter_mut().enumerate() {
        question.page = match question.rows.len() {
            0..=1 => None,
            // Short lists are cut up here and there, to see a cursor in each of them.
            2..=40 => (number % 20 == 0).then_some(2),
            long => Some(long.div_ceil(7).min(100)),
        };
    }
    all
}

/// One question for every value of a column.
fn by(
    rows: &[Value],
    model: &'static str,
    query: &'static str,
    column: &'static str,
    order: Option<Comparison>,
) -> Vec<Question> {
    let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for row in rows {
        groups
            .entry(text(row, column))
            .or_default()
            .push(row.clone());
    }
    let question = |(value, rows): (&str, Vec<Value>)| {
        ask(model, query, vec![(column, value.to_owned())], rows, order)
    };
    groups.into_iter().map(question).collect()
}

fn best_sellers(rows: &[Value]) -> Vec<Question> {
    let of_at_least = |least: i64| {
        let chosen = rows
            .iter()
            .filter(|row| number(row, "reviews") >= least)
            .cloned()
            .collect();
        let parameters = vec![("reviews_from", least.to_string())];
        ask(
            "seller_ratings",
            "best",
            parameters,
            chosen,
            Some(highest_mean_first),
        )
    };
    [1, 2, 10].map(of_at_least).into()
}

fn months_of_sellers(rows: &[Value]) -> Vec<Question> {
    let (from, to) = ("2017-06", "2017-11");
    let within = |row: &&Value| (from..=to).contains(&text(row, "month"));
    let chosen: Vec<Value> = rows.iter().filter(within).cloned().collect();
    let mut questions = by(&chosen, "seller_sales", "of", "seller_id", None);
    for question in &mut questions {
        question
            .parameters
            .extend([("month_from", from.into()), ("month_to", to.into())]);
    }
    questions
}

fn searches(rows: &[Value]) -> Vec<Question> {
    let (category, from, to) = ("bed_bath_table", 5_000, 10_000);
    let of_category = |row: &&Value| row["category"] == category;
    let of_price = |row: &&Value| (from..=to).contains(&number(row, "price_cents"));
    let search = |parameters: &[(&'static str, &str)], rows: Vec<Value>, order| {
        let parameters = parameters
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        ask("products", "search", parameters.collect(), rows, order)
    };
    let (low, high) = (from.to_string(), to.to_string());
    let range = [
        ("price_cents_from", low.as_str()),
        ("price_cents_to", high.as_str()),
    ];
    let all = rows.to_vec();
    let of_range = rows.iter().filter(of_price).cloned().collect();
    let narrow = rows
        .iter()
        .filter(of_category)
        .filter(of_price)
        .cloned()
        .collect();
    vec![
        search(&[], all.clone(), None),
        search(
            &[("order", "price_cents")],
            all.clone(),
            Some(cheapest_first),
        ),
        search(&[("order", "newest")], all, Some(newest_listing_first)),
        search(&range, of_range, None),
        search(
            &[&[("category", category)][..], &range].concat(),
            narrow,
            None,
        ),
        search(
            &[("text", "no listed product has a name")],
            Vec::new(),
            None,
        ),
    ]
}

/// What was refused left nothing.
fn nothing_of(orders: &[String]) -> Vec<Question> {
    let nothing = |model, query| {
        move |order: &String| {
            ask(
                model,
                query,
                vec![("order_id", order.clone())],
                vec![],
                None,
            )
        }
    };
    let rows = orders.iter().map(nothing("order", "by_id"));
    rows.chain(orders.iter().map(nothing("order_timeline", "of")))
        .collect()
}

fn ask(
    model: &'static str,
    query: &'static str,
    parameters: Vec<(&'static str, String)>,
    mut rows: Vec<Value>,
    order: Option<Comparison>,
) -> Question {
    if let Some(order) = order {
        rows.sort_by(order);
    }
    Question {
        model,
        query,
        parameters,
        rows,
        ordered: order.is_some(),
        page: None,
    }
}

// The orders that MARKET.md promises; the key, ascending, settles what is equal.

fn newest_first(a: &Value, b: &Value) -> Ordering {
    let key = |row: &Value| (Reverse(owned(row, "placed_at")), owned(row, "order_id"));
    key(a).cmp(&key(b))
}

/// The expected rows already lie in the order of the events.
fn as_it_happened(_: &Value, _: &Value) -> Ordering {
    Ordering::Equal
}

fn most_revenue_first(a: &Value, b: &Value) -> Ordering {
    let key = |row: &Value| {
        (
            Reverse(number(row, "revenue_cents")),
            owned(row, "seller_id"),
        )
    };
    key(a).cmp(&key(b))
}

fn most_spent_first(a: &Value, b: &Value) -> Ordering {
    let key = |row: &Value| (Reverse(number(row, "spent_cents")), owned(row, "user_id"));
    key(a).cmp(&key(b))
}

/// By the exact mean, so that the answer's division is checked too.
fn highest_mean_first(a: &Value, b: &Value) -> Ordering {
    let crossed = |x, y| number(x, "score_sum") * number(y, "reviews");
    crossed(b, a)
        .cmp(&crossed(a, b))
        .then_with(|| text(a, "seller_id").cmp(text(b, "seller_id")))
}

fn cheapest_first(a: &Value, b: &Value) -> Ordering {
    let key = |row: &Value| {
        (
            number(row, "price_cents"),
            owned(row, "seller_id"),
            owned(row, "product_id"),
        )
    };
    key(a).cmp(&key(b))
}

fn newest_listing_first(a: &Value, b: &Value) -> Ordering {
    let key = |row: &Value| {
        (
            Reverse(owned(row, "listed_at")),
            owned(row, "seller_id"),
            owned(row, "product_id"),
        )
    };
    key(a).cmp(&key(b))
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column]
        .as_str()
        .unwrap_or_else(|| panic!("no text {column} in {row}"))
}

fn owned(row: &Value, column: &str) -> String {
    text(row, column).to_owned()
}

fn number(row: &Value, column: &str) -> i64 {
    row[column]
        .as_i64()
        .unwrap_or_else(|| panic!("no number {column} in {row}"))
}
