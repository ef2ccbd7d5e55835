//! Sending what is wrong, and looking at the answer and at the log.

use std::path::Path;

use foldline::problem::Code;
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::Node;

const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];

/// The user whom most of these requests are about.
pub(crate) const ANA: &str = "0115e600-0000-4000-8000-000000000001";
pub(crate) const SELLER: &str = "0115e600-0000-4000-8000-000000000002";
pub(crate) const ORDER: &str = "0115e600-0000-4000-8000-000000000003";
pub(crate) const PRODUCT: &str = "0115e600-0000-4000-8000-000000000004";

/// A node with a data directory of its own.
pub(crate) struct Site {
    pub(crate) node: Node,
    _dir: TempDir,
}

/// An answer that is a problem.
pub(crate) struct Told {
    pub(crate) headers: header::HeaderMap,
    pub(crate) problem: Value,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A node with variables in its environment.
    pub(crate) async fn with(set: &[(&str, &Path)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::in_dir(dir, set).await
    }

    /// A node on the directory `data` within another one.
    pub(crate) async fn in_dir(dir: TempDir, set: &[(&str, &Path)]) -> Self {
        let mut node = Node::spawn(&dir.path().join("data"), set);
        if let Err(ended) = node.until_ready().await {
            panic!("the node did not start: {ended:?}");
        }
        Self { node, _dir: dir }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.node.client.get(format!("{}{path}", self.node.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.node.client.post(format!("{}{path}", self.node.url))
    }

    /// A command of Ana, declared as JSON.
    pub(crate) fn command(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.post(&format!("/v1/users/{ANA}/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
    }

    /// Sends a command that must be accepted.
    pub(crate) async fn accepted(&self, request: RequestBuilder) -> Response {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 201, "{response:?}");
        response
    }

    /// An order of Ana, and a key that has been used for it.
    pub(crate) async fn with_an_order(self) -> Self {
        let place = self.command("orders/place", order(ORDER, 1, 1000).to_string());
        self.accepted(place.header("idempotency-key", "used")).await;
        self
    }

    /// Every event there is, byte for byte.
    pub(crate) async fn log(&self) -> String {
        let mut log = String::new();
        for context in CONTEXTS {
            let (status, lines) = self.node.get(&format!("/v1/admin/export/{context}")).await;
            assert_eq!(status, 200, "{lines}");
            log.push_str(&lines);
        }
        log
    }

    /// Sends something wrong, which must be answered with this code and leave nothing in the log.
    pub(crate) async fn refused(&self, what: &str, request: RequestBuilder, code: Code) -> Told {
        let told = self.told(what, request, code.code, code.status).await;
        assert_eq!(told.problem["title"], code.title, "{what}");
        assert_eq!(told.problem["way_out"], code.way_out, "{what}");
        told
    }

    /// The same for a refusal by the rules of a context.
    pub(crate) async fn rejected(&self, request: RequestBuilder, code: &str, status: u16) -> Told {
        self.told(code, request, code, status).await
    }

    async fn told(&self, what: &str, request: RequestBuilder, code: &str, status: u16) -> Told {
        let before = self.log().await;
        let answer = request.send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let headers = answer.headers().clone();
        let found = answer.status().as_u16();
        let body = answer.text().await.expect("a body");
        let problem: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{what}: {error} in {body}"));
        assert_eq!(
            (&problem["code"], found),
            (&json!(code), status),
            "{what}: {body}"
        );
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{what}"
        );
        assert_eq!(problem["status"], status, "{what}");
        assert_eq!(problem["type"], format!("urn:foldline:problem:{code}"));
        for said in ["title", "detail", "way_out"] {
            let said = problem[said].as_str();
            assert!(said.is_some_and(|said| !said.is_empty()), "{what}: {body}");
        }
        assert_eq!(self.log().await, before, "{what} has left something");
        Told { headers, problem }
    }
}

/// The body of `place`.
pub(crate) fn order(order_id: &str, quantity: i64, price_cents: i64) -> Value {
    json!({
        "order_id": order_id,
        "lines": [{
            "product_id": PRODUCT,
            "seller_id": SELLER,
            "quantity": quantity,
            "unit_price_cents": price_cents,
            "freight_cents": 0,
        }],
    })
}
