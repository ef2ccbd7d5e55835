//! Tags, fields, limits and cursors, also while the read model is rebuilt.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    node::{AT_LEAST, Answer, Node, SOON, until},
    place::Place,
    shop::{order, person, thing},
};

const PRODUCTS: u128 = 23;
const PAGE: usize = 5;

/// A node on which one seller offers some products, several of them at one price.
async fn with_products(seller: Uuid) -> Node {
    let node = Node::start(Place::empty()).await;
    let mut at = String::new();
    for number in 1..=PRODUCTS {
        let (name, price) = (format!("Vase {number}"), 100 + number / 4);
        let body = json!({
            "product_id": thing(seller, number), "name": name, "category": "housewares",
            "price_cents": price,
        });
        at = node.command(seller, "catalog/list-product", body).await;
    }
    assert_eq!(
        node.rows("products/search", &at).await.len() as u128,
        PRODUCTS
    );
    node
}

#[tokio::test]
async fn an_answer_that_is_known_already_is_not_sent_again() {
    let node = Node::start(Place::empty()).await;
    let user = person(1);
    let query = format!("orders_by_user/mine?user_id={user}");
    let at = node
        .command(user, "orders/place", order(thing(user, 1), user, 1, 1, 0))
        .await;
    let first = node.ask(&query, &[(AT_LEAST, &at)]).await;
    let tag = first.header("etag");
    assert!(tag.starts_with("\"g1-"), "the generation is in {tag}");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert_eq!(first.header("foldline-position"), at);

    let known = [("if-none-match", tag)];
    let again = node.ask(&query, &known).await;
    assert_eq!((again.status, &again.body), (304, &json!("")));
    assert_eq!(again.header("etag"), tag);
    let among_others = format!("\"other\", {tag}");
    assert_eq!(
        node.ask(&query, &[("if-none-match", &among_others)])
            .await
            .status,
        304
    );

    let at = node
        .command(user, "orders/place", order(thing(user, 2), user, 1, 1, 0))
        .await;
    let changed = node.ask(&query, &[known[0], (AT_LEAST, &at)]).await;
    assert_eq!((changed.status, changed.rows().len()), (200, 2));
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn fields_and_limit_are_what_was_asked_for() {
    let node = with_products(person(1)).await;
    let answer = node
        .ask("products/search?fields=price_cents,name&limit=2", &[])
        .await;
    let row = json!({ "name": "Vase 1", "price_cents": 100 });
    let shown = answer.rows();
    assert_eq!((shown.len(), &shown[0]), (2, &row));
    for (parameter, value) in [
        ("fields", "name,no_such"),
        ("fields", "name words"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "many"),
        ("order", "stock"),
        ("price_cents_from", "cheap"),
    ] {
        let answer = node
            .ask(&format!("products/search?{parameter}={value}"), &[])
            .await;
        let problem = answer.assert_problem(400, "malformed-parameter");
        assert_eq!(problem["parameter"], parameter, "{value}");
    }
    let unknown = node.ask("products/search?colour=blue", &[]).await;
    unknown.assert_problem(400, "unknown-parameter");
    node.ask("products/of", &[])
        .await
        .assert_problem(400, "missing-parameter");
    node.ask("products/cheapest", &[])
        .await
        .assert_problem(404, "unknown-query");
    node.ask("goods/search", &[])
        .await
        .assert_problem(404, "unknown-view");
}

#[tokio::test]
async fn cursors_lead_through_every_row_once_in_every_order() {
    let seller = person(1);
    let node = with_products(seller).await;
    for (query, rows) in [
        ("products/search?order=price_cents", PRODUCTS),
        ("products/search?order=newest", PRODUCTS),
        ("products/search?text=vase&category=housewares", PRODUCTS),
        ("products/search?price_cents_from=102&price_cents_to=103", 8),
        (&format!("products/of?seller_id={seller}"), PRODUCTS),
    ] {
        let answers = pages(&node, query, None).await;
        let rows_of_a_page = answers.iter().map(|answer| answer.rows().len());
        assert!(rows_of_a_page.clone().all(|rows| rows <= PAGE), "{query}");
        assert_eq!(rows_of_a_page.sum::<usize>() as u128, rows, "{query}");
        assert_eq!(
            products(&answers).len() as u128,
            rows,
            "{query}: a row came twice"
        );
    }
    let by_price = pages(&node, "products/search?order=price_cents", None).await;
    let prices: Vec<_> = by_price.iter().flat_map(Answer::rows).map(price).collect();
    assert!(prices.is_sorted(), "{prices:?}");
}

#[tokio::test]
async fn a_cursor_of_another_question_is_refused() {
    let seller = person(1);
    let node = with_products(seller).await;
    let first = node
        .ask(&format!("products/search?limit={PAGE}"), &[])
        .await;
    let cursor = first.next().expect("there is more");
    for query in [
        format!("products/of?seller_id={seller}&cursor={cursor}"),
        format!("products/search?order=newest&cursor={cursor}"),
        format!("products/search?category=toys&cursor={cursor}"),
        "products/search?cursor=no-cursor-at-all".to_owned(),
        "products/search?cursor=e30".to_owned(),
    ] {
        node.ask(&query, &[])
            .await
            .assert_problem(400, "malformed-cursor");
    }
    // Another size of a page, or other fields, is the same question.
    let query = format!("products/search?limit=2&fields=name&cursor={cursor}");
    assert_eq!(node.ask(&query, &[]).await.rows().len(), 2);
}

#[tokio::test]
async fn a_cursor_is_good_until_its_generation_is_retired() {
    let node = with_products(person(1)).await;
    let first = node
        .ask(&format!("products/search?limit={PAGE}"), &[])
        .await;
    let cursor = first.next().expect("there is more").to_owned();
    node.replay("products");
    until_tag(&node, "products/search", "\"g2-").await;

    let mut answers = pages(&node, "products/search", Some(cursor.clone())).await;
    assert!(answers[0].header("etag").starts_with("\"g1-"));
    answers.push(first);
    assert_eq!(products(&answers).len() as u128, PRODUCTS);

    let generations = "/v1/admin/views/products/generations";
    let serving = node.delete(&format!("{generations}/2")).await;
    serving.assert_problem(409, "no-generation");
    let said = node.tool(&["views", "retire", "products", "1"]).well();
    assert_eq!(said.printed, "products: generation 1 is gone\n");
    let query = format!("products/search?cursor={cursor}");
    let retired = node.ask(&query, &[]).await;
    retired.assert_problem(410, "cursor-retired");
    let again = node.delete(&format!("{generations}/1")).await;
    again.assert_problem(409, "no-generation");
    assert_eq!(
        products(&pages(&node, "products/search", None).await).len() as u128,
        PRODUCTS
    );
}

/// Follows the cursors of a question to the end.
async fn pages(node: &Node, query: &str, mut cursor: Option<String>) -> Vec<Answer> {
    let mut answers = Vec::new();
    loop {
        let sign = if query.contains('?') { '&' } else { '?' };
        let at = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let answer = node
            .ask(&format!("{query}{sign}limit={PAGE}{at}"), &[])
            .await;
        assert_eq!(answer.status, 200, "{query}: {answer:#?}");
        cursor = answer.next().map(str::to_owned);
        answers.push(answer);
        if cursor.is_none() {
            return answers;
        }
    }
}

fn products(answers: &[Answer]) -> BTreeSet<String> {
    let rows = answers.iter().flat_map(Answer::rows);
    rows.map(|row| row["product_id"].to_string()).collect()
}

fn price(row: &Value) -> i64 {
    row["price_cents"].as_i64().expect("a price")
}

/// Another generation serves as soon as the registry is read again.
async fn until_tag(node: &Node, query: &str, begin: &str) {
    until("another generation serves", SOON, async || {
        let answer = node.ask(query, &[]).await;
        let tag = answer.header("etag");
        tag.starts_with(begin)
            .then_some(())
            .ok_or_else(|| tag.to_owned())
    })
    .await;
}
