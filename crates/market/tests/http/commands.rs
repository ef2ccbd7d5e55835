//! Commands that are wrong.

use foldline::problem::{self, Code};
use futures::stream;
use reqwest::{Body, Method, header};

use super::{
    alone,
    ask::{ANA, ORDER, SELLER, Site, order},
};

/// What these tests provoke.
pub(crate) const PROVOKED: &[Code] = &[
    problem::UNKNOWN_ROUTE,
    problem::METHOD_NOT_ALLOWED,
    problem::UNKNOWN_CONTEXT,
    problem::UNKNOWN_COMMAND,
    problem::MALFORMED_REQUEST,
    problem::MALFORMED_USER_ID,
    problem::MALFORMED_BODY,
    problem::MALFORMED_HEADER,
    problem::UNSUPPORTED_MEDIA_TYPE,
    problem::BODY_TOO_LARGE,
    problem::KEY_REUSED,
    problem::STALE_VERSION,
    problem::FOREIGN_HOST,
];

#[tokio::test]
async fn a_malformed_body_is_pointed_at() {
    let _turn = alone().await;
    let site = Site::new().await;
    let line = |member: &str, value: &str| {
        let whole = order(ORDER, 1, 100).to_string();
        let (old, new) = match member {
            "quantity" => (r#""quantity":1"#, format!(r#""quantity":{value}"#)),
            "price" => (
                r#""unit_price_cents":100"#,
                format!(r#""unit_price_cents":{value}"#),
            ),
            "product" => (r#""product_id":""#, format!(r#""product_id":"{value}"#)),
            _ => (r#""freight_cents":0"#, format!(r#""{member}":{value}"#)),
        };
        let changed = whole.replace(old, &new);
        assert_ne!(changed, whole, "{member}");
        changed
    };
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let rows = [
        ("nothing", String::new(), ""),
        ("broken JSON", r#"{"order_id":"#.to_owned(), "/order_id"),
        ("JSON and more", format!("{} x", order(ORDER, 1, 1)), ""),
        ("a list", "[]".to_owned(), ""),
        (
            "members without names",
            format!(r#" ["{ORDER}", "BRL", []]"#),
            "",
        ),
        (
            "a line without names",
            format!(r#"{{"order_id":"{ORDER}","lines":[["{ORDER}","{SELLER}",1,100,0]]}}"#),
            "/lines/0",
        ),
        (
            "a member twice",
            format!(r#"{{"order_id":"{ORDER}","order_id":"{ORDER}","lines":[]}}"#),
            "",
        ),
        ("a list of lists of lists", nested, ""),
        ("no lines", format!(r#"{{"order_id":"{ORDER}"}}"#), ""),
        (
            "a text for a number",
            line("quantity", r#""two""#),
            "/lines/0/quantity",
        ),
        (
            "a fraction for a number",
            line("quantity", "1.5"),
            "/lines/0/quantity",
        ),
        ("none of it", line("quantity", "0"), "/lines/0/quantity"),
        (
            "less than none",
            line("quantity", "-1"),
            "/lines/0/quantity",
        ),
        (
            "beyond 32 bits",
            line("quantity", "4294967296"),
            "/lines/0/quantity",
        ),
        (
            "beyond 64 bits",
            line("price", "18446744073709551616"),
            "/lines/0/unit_price_cents",
        ),
        (
            "beyond every number",
            line("price", "1e999"),
            "/lines/0/unit_price_cents",
        ),
        (
            "a negative price",
            line("price", "-1"),
            "/lines/0/unit_price_cents",
        ),
        ("no UUID", line("product", "x"), "/lines/0/product_id"),
        (
            "an unknown member",
            line("freight", "1"),
            "/lines/0/freight",
        ),
    ];
    for (what, body, pointer) in rows {
        let place = site.command("orders/place", body);
        let told = site.refused(what, place, problem::MALFORMED_BODY).await;
        assert_eq!(told.problem["pointer"], pointer, "{what}: {}", told.problem);
    }
    let no_text = site.command("orders/place", b"{\"order_id\":\"\xff\"}".to_vec());
    site.refused("no UTF-8", no_text, problem::MALFORMED_BODY)
        .await;
}

#[tokio::test]
async fn sums_that_no_number_holds_are_refused_by_the_rules() {
    let _turn = alone().await;
    let site = Site::new().await;
    let overflow = order(ORDER, 2, i64::MAX).to_string();
    let place = site.command("orders/place", overflow);
    let told = site.rejected(place, "order-total-too-large", 422).await;
    assert!(told.problem["detail"].to_string().contains(ORDER));
}

#[tokio::test]
async fn a_rejection_says_whether_another_state_could_accept_it() {
    let _turn = alone().await;
    let site = Site::new().await.with_an_order().await;
    let without_lines = format!(r#"{{"order_id":"{ORDER}","lines":[]}}"#);
    for (path, body, code, status) in [
        ("orders/place", without_lines, "order-without-lines", 422),
        (
            "orders/place",
            order(ORDER, 1, 1).to_string(),
            "order-already-placed",
            409,
        ),
        (
            "orders/ship",
            format!(r#"{{"order_id":"{SELLER}"}}"#),
            "unknown-order",
            409,
        ),
    ] {
        site.rejected(site.command(path, body), code, status).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is() {
    let _turn = alone().await;
    let site = Site::new().await;
    let known = ["accounts", "catalog", "orders", "payments", "reviews"];
    for context in ["boats", "Orders", "orders%2F3", "..%2Forders"] {
        let path = format!("{context}/place");
        let told = site
            .refused(context, site.command(&path, "{}"), problem::UNKNOWN_CONTEXT)
            .await;
        assert_eq!(told.problem["known"], serde_json::json!(known));
    }
    for command in ["sail", "PLACE", "place%20"] {
        let path = format!("payments/{command}");
        let told = site
            .refused(command, site.command(&path, "{}"), problem::UNKNOWN_COMMAND)
            .await;
        assert_eq!(
            told.problem["known"],
            serde_json::json!(["capture", "refund"])
        );
    }
    for route in ["/v1/users", "/v2", "/v1/users/x/orders", "/favicon.ico"] {
        site.refused(route, site.get(route), problem::UNKNOWN_ROUTE)
            .await;
    }
    let url = format!("{}/v1/users/{ANA}/accounts/register", site.node.url);
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let what = method.to_string();
        let request = site.node.client.request(method, &url);
        let told = site
            .refused(&what, request, problem::METHOD_NOT_ALLOWED)
            .await;
        assert_eq!(told.headers[header::ALLOW], "POST");
    }
}

#[tokio::test]
async fn a_user_is_a_uuid() {
    let _turn = alone().await;
    let site = Site::new().await;
    let too_long = "a".repeat(5000);
    for user in [
        "1",
        "ana",
        "0115e600-0000-4000-8000-00000000000g",
        &too_long,
    ] {
        let path = format!("/v1/users/{user}/accounts/register");
        let request = site
            .post(&path)
            .header(header::CONTENT_TYPE, "application/json")
            .body("{}");
        site.refused(user, request, problem::MALFORMED_USER_ID)
            .await;
    }
    let no_text = site.post("/v1/users/%FF/accounts/register");
    site.refused("no UTF-8", no_text, problem::MALFORMED_REQUEST)
        .await;
}

#[tokio::test]
async fn headers_are_read_or_refused_and_never_ignored() {
    let _turn = alone().await;
    let site = Site::new().await.with_an_order().await;
    let (key_too_long, cause_too_long) = ("k".repeat(129), "c".repeat(257));
    for (name, value) in [
        ("idempotency-key", ""),
        ("idempotency-key", "two words"),
        ("idempotency-key", "schlüssel"),
        ("idempotency-key", &key_too_long),
        ("if-match", "1"),
        ("if-match", "*"),
        ("if-match", r#"W/"1""#),
        ("if-match", r#""-1""#),
        ("if-match", r#""+1""#),
        ("if-match", r#""""#),
        ("if-match", r#""1", "2""#),
        ("if-match", r#""18446744073709551616""#),
        ("foldline-time", "yesterday"),
        ("foldline-time", "2018-13-01T00:00:00Z"),
        ("foldline-time", "2018-01-01"),
        ("foldline-causation-id", ""),
        ("foldline-correlation-id", &cause_too_long),
    ] {
        let request = site.command("accounts/register", "{}").header(name, value);
        let what = format!("{name}: {value}");
        let told = site
            .refused(&what, request, problem::MALFORMED_HEADER)
            .await;
        assert_eq!(told.problem["header"], name, "{what}");
    }
    let twice = site
        .command("accounts/register", "{}")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    site.refused("two keys", twice, problem::MALFORMED_HEADER)
        .await;
}

#[tokio::test]
async fn a_version_that_has_moved_on_is_told() {
    let _turn = alone().await;
    let site = Site::new().await.with_an_order().await;
    for stale in [r#""0""#, r#""2""#] {
        let place = site.command("orders/place", order(SELLER, 1, 1).to_string());
        let told = site
            .refused(
                stale,
                place.header("if-match", stale),
                problem::STALE_VERSION,
            )
            .await;
        assert_eq!(told.problem["current"], 1);
    }
    let place = site.command("orders/place", order(SELLER, 1, 1).to_string());
    let placed = site.accepted(place.header("if-match", r#""1""#)).await;
    assert_eq!(placed.headers()[header::ETAG], r#""2""#);
}

#[tokio::test]
async fn a_key_is_good_for_one_command_and_body() {
    let _turn = alone().await;
    let site = Site::new().await.with_an_order().await;
    let other_body = site.command("orders/place", order(ORDER, 2, 1000).to_string());
    let other_command = site.command("orders/ship", order(ORDER, 1, 1000).to_string());
    for (what, request) in [
        ("another body", other_body),
        ("other spaces", {
            let spaced = format!(" {}", order(ORDER, 1, 1000));
            site.command("orders/place", spaced)
        }),
    ] {
        let request = request.header("idempotency-key", "used");
        site.refused(what, request, problem::KEY_REUSED).await;
    }
    // What cannot be read is malformed, whatever its key.
    let request = other_command.header("idempotency-key", "used");
    site.refused("another command", request, problem::MALFORMED_BODY)
        .await;
    let cancel = format!(r#"{{"order_id":"{ORDER}"}}"#);
    let request = site.command("orders/ship", cancel);
    let request = request.header("idempotency-key", "used");
    site.refused("another command", request, problem::KEY_REUSED)
        .await;
    // The same again is the same answer, and no event.
    let before = site.log().await;
    let repeat = site.command("orders/place", order(ORDER, 1, 1000).to_string());
    let repeat = site
        .accepted(repeat.header("idempotency-key", "used"))
        .await;
    assert_eq!(repeat.headers()["idempotency-replayed"], "true");
    assert_eq!(site.log().await, before);
}

#[tokio::test]
async fn a_body_is_declared_as_json() {
    let _turn = alone().await;
    let site = Site::new().await;
    let path = format!("/v1/users/{ANA}/accounts/register");
    let undeclared = site.post(&path).body("{}");
    site.refused("undeclared", undeclared, problem::UNSUPPORTED_MEDIA_TYPE)
        .await;
    for declared in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/cloudevents+json",
    ] {
        let request = site.post(&path).header(header::CONTENT_TYPE, declared);
        site.refused(
            declared,
            request.body("{}"),
            problem::UNSUPPORTED_MEDIA_TYPE,
        )
        .await;
    }
    let charset = site.post(&path).body("{}");
    site.accepted(charset.header(header::CONTENT_TYPE, "Application/JSON; charset=utf-8"))
        .await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_while_it_is_still_being_sent() {
    let _turn = alone().await;
    let site = Site::new().await;
    const CHUNK: usize = 1 << 16;
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(2_000_000));
    for _ in 0..5 {
        let whole = site.command("accounts/register", large.clone());
        site.refused("with its length", whole, problem::BODY_TOO_LARGE)
            .await;
        let chunks = large.clone().into_bytes();
        let chunks: Vec<_> = chunks.chunks(CHUNK).map(<[u8]>::to_vec).collect();
        let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let chunked = site.command("accounts/register", Body::wrap_stream(chunks));
        site.refused("chunked", chunked, problem::BODY_TOO_LARGE)
            .await;
    }
}

#[tokio::test]
async fn an_open_node_answers_to_this_machine_alone() {
    let _turn = alone().await;
    let site = Site::new().await;
    for (name, value) in [
        ("host", "example.org"),
        ("host", "127.0.0.1.example.org:80"),
        ("origin", "https://example.org"),
        ("origin", "null"),
    ] {
        let what = format!("{name}: {value}");
        let register = site.command("accounts/register", "{}").header(name, value);
        site.refused(&what, register, problem::FOREIGN_HOST).await;
        let look = site.get("/v1/admin/config").header(name, value);
        site.refused(&what, look, problem::FOREIGN_HOST).await;
    }
}
