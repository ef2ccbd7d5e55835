//! Queries that are wrong.

use foldline::problem::{self, Code};
use serde_json::{Value, json};

use super::{
    alone,
    ask::{ANA, ORDER, SELLER, Site},
};

/// What these tests provoke.
pub(crate) const PROVOKED: &[Code] = &[
    problem::UNKNOWN_VIEW,
    problem::UNKNOWN_QUERY,
    problem::UNKNOWN_PARAMETER,
    problem::MISSING_PARAMETER,
    problem::MALFORMED_PARAMETER,
    problem::MALFORMED_HEADER,
    problem::MALFORMED_CURSOR,
    problem::METHOD_NOT_ALLOWED,
    problem::BEHIND,
    problem::CURSOR_RETIRED,
];

impl Site {
    /// Three products of a seller, so that a list has a next page.
    async fn with_products(self) -> Self {
        for product in [ANA, SELLER, ORDER] {
            let body = json!({ "product_id": product, "name": "chair", "price_cents": 100 });
            let list = self.command("catalog/list-product", body.to_string());
            self.accepted(list).await;
        }
        self.node.until_caught_up().await;
        self
    }

    async fn next_of(&self, path: &str) -> String {
        let (status, page) = self.node.get(path).await;
        assert_eq!(status, 200, "{page}");
        let page: Value = serde_json::from_str(&page).expect("JSON");
        page["next"].as_str().expect("a next page").to_owned()
    }
}

#[tokio::test]
async fn a_question_that_was_not_declared_has_no_answer() {
    let _turn = alone().await;
    let site = Site::new().await;
    let product = "/v1/views/products";
    for (path, code) in [
        ("/v1/views/boats/of".to_owned(), problem::UNKNOWN_VIEW),
        ("/v1/views/Products/of".to_owned(), problem::UNKNOWN_VIEW),
        (format!("{product}/nearby"), problem::UNKNOWN_QUERY),
        (
            format!("{product}/search?color=red"),
            problem::UNKNOWN_PARAMETER,
        ),
        (
            format!("{product}/search?price_cents=1"),
            problem::UNKNOWN_PARAMETER,
        ),
        (format!("{product}/of"), problem::MISSING_PARAMETER),
        (
            format!("{product}/of?seller_id="),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/of?seller_id=1"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/of?seller_id={ANA}&seller_id={ANA}"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?price_cents_from=1.5"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?price_cents_to=9223372036854775808"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?limit=0"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?limit=1000000"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?limit=many"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?order=color"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?fields=color"),
            problem::MALFORMED_PARAMETER,
        ),
        (
            format!("{product}/search?cursor=abc"),
            problem::MALFORMED_CURSOR,
        ),
        (
            format!("{product}/search?cursor=%00"),
            problem::MALFORMED_CURSOR,
        ),
    ] {
        site.refused(&path, site.get(&path), code).await;
    }
    let post = site.post("/v1/views/products/search");
    site.refused("a POST", post, problem::METHOD_NOT_ALLOWED)
        .await;
}

#[tokio::test]
async fn a_cursor_is_that_of_its_query_and_of_its_generation() {
    let _turn = alone().await;
    let site = Site::new().await.with_products().await;
    let of = format!("/v1/views/products/of?seller_id={ANA}&limit=1");
    let cursor = site.next_of(&of).await;
    let (status, page) = site.node.get(&format!("{of}&cursor={cursor}")).await;
    assert_eq!(status, 200, "{page}");
    for path in [
        format!("/v1/views/products/search?limit=1&cursor={cursor}"),
        format!("/v1/views/products/of?seller_id={SELLER}&cursor={cursor}"),
        format!("/v1/views/users/by_state?state=SP&cursor={cursor}"),
        format!("{of}&cursor={}", &cursor[1..]),
    ] {
        site.refused(&path, site.get(&path), problem::MALFORMED_CURSOR)
            .await;
    }
    let other_order = site
        .next_of("/v1/views/products/search?order=newest&limit=1")
        .await;
    let path = format!("/v1/views/products/search?order=price_cents&limit=1&cursor={other_order}");
    site.refused(&path, site.get(&path), problem::MALFORMED_CURSOR)
        .await;

    let replay = site.post("/v1/admin/views/products/replay").send().await;
    let lines = replay.expect("an answer").text().await.expect("lines");
    assert!(lines.contains("switched"), "{lines}");
    let path = format!("{}/v1/admin/views/products/generations/1", site.node.url);
    let retired = site
        .node
        .client
        .delete(path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(retired.status(), 200, "{:?}", retired.text().await);
    let path = format!("{of}&cursor={cursor}");
    site.refused("retired", site.get(&path), problem::CURSOR_RETIRED)
        .await;
}

#[tokio::test]
async fn what_is_not_there_yet_is_told_within_a_bound() {
    let _turn = alone().await;
    let at_once = std::path::Path::new("500");
    let site = Site::with(&[("FOLDLINE_QUERY__AT_LEAST_TIMEOUT_MS", at_once)]).await;
    let ask = |positions: &str| {
        site.get("/v1/views/products/search")
            .header("foldline-at-least", positions)
    };
    let told = site
        .refused("beyond the tail", ask("catalog/3@1042"), problem::BEHIND)
        .await;
    assert_eq!(
        told.problem["behind"][0]["events"], 1042,
        "{}",
        told.problem
    );
    let unknown = "catalog/8@1";
    let told = site
        .refused("no such partition", ask(unknown), problem::MALFORMED_HEADER)
        .await;
    assert_eq!(told.problem["position"], unknown, "{}", told.problem);
    let detail = told.problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("8 partitions"), "{detail}");
    let too_many = ["catalog/3@1"; 100].join(",");
    for malformed in [
        "catalog",
        "catalog/3",
        "catalog/3@x",
        "catalog/-1@1",
        &too_many,
    ] {
        site.refused(malformed, ask(malformed), problem::MALFORMED_HEADER)
            .await;
    }
    // Contexts that do not feed the model are ignored.
    let elsewhere = ask("orders/3@1042").send().await.expect("an answer");
    assert_eq!(elsewhere.status(), 200);
}
