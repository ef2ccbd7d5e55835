//! Who is let in: nodes with a key, tokens of all kinds, and how often.

use std::path::Path;

use foldline::problem::{self, Code};
use reqwest::{RequestBuilder, header};
use serde_json::{Value, json};

use super::{
    alone,
    ask::{ANA, ORDER, SELLER, Site, order},
};

/// What these tests provoke.
pub(crate) const PROVOKED: &[Code] = &[
    problem::UNAUTHENTICATED,
    problem::NOT_ALLOWED,
    problem::TOO_MANY_REQUESTS,
];

const SECRET: &str = "a secret of which thirty-two bytes are enough";
const VARIABLE: &str = "FOLDLINE_AUTH__SECRET";

/// A token as `market token` mints it.
fn token(user: &str, roles: &[&str]) -> String {
    minted(SECRET, &[&["--user", user][..], &of(roles)].concat())
}

fn of<'a>(roles: &[&'a str]) -> Vec<&'a str> {
    roles.iter().flat_map(|role| ["--role", role]).collect()
}

fn minted(secret: &str, arguments: &[&str]) -> String {
    let mut market = std::process::Command::new(env!("CARGO_BIN_EXE_market"));
    let minted = market
        .arg("token")
        .args(arguments)
        .env(VARIABLE, secret)
        .output();
    let minted = minted.expect("the tool runs");
    let errors = String::from_utf8_lossy(&minted.stderr);
    assert!(minted.status.success(), "{errors}");
    let token = String::from_utf8(minted.stdout).expect("a token is ASCII");
    token.trim().to_owned()
}

async fn site() -> Site {
    let mut site = Site::with(&[(VARIABLE, Path::new(SECRET))]).await;
    let staff = format!("Bearer {}", token("operator", &["staff"]));
    site.node.client = reqwest::Client::builder()
        .no_proxy()
        .default_headers(header::HeaderMap::from_iter([(
            header::AUTHORIZATION,
            staff.parse().expect("a header"),
        )]))
        .build()
        .expect("a client");
    site
}

/// A client that shows nothing of its own.
fn nobody() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

struct Asked {
    status: u16,
    code: String,
    challenge: Option<String>,
}

async fn ask(request: RequestBuilder) -> Asked {
    let answer = request.send().await.expect("an answer");
    let challenge = answer.headers().get(header::WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().expect("ASCII").to_owned());
    let status = answer.status().as_u16();
    let told: Value = answer.json().await.unwrap_or_default();
    Asked {
        status,
        code: told["code"].as_str().unwrap_or_default().to_owned(),
        challenge,
    }
}

async fn assert_asked(what: &str, request: RequestBuilder, status: u16, code: &str) -> Asked {
    let asked = ask(request).await;
    assert_eq!(
        (asked.status, asked.code.as_str()),
        (status, code),
        "{what}"
    );
    // Whoever is asked to authenticate is told how (RFC 9110, 11.6.1).
    assert_eq!(asked.challenge.is_some(), status == 401, "{what}");
    asked
}

#[tokio::test]
async fn commands_are_for_the_user_and_for_staff() {
    let _turn = alone().await;
    let site = site().await;
    let place = |order_id: &str, token: Option<&str>| {
        let url = format!("{}/v1/users/{ANA}/orders/place", site.node.url);
        let request = nobody()
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(order(order_id, 1, 100).to_string());
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    };
    let (ana, seller) = (token(ANA, &[]), token(SELLER, &["warehouse"]));
    let asked = assert_asked("nobody", place(ORDER, None), 401, "unauthenticated").await;
    assert_eq!(asked.challenge.as_deref(), Some("Bearer"));
    assert_asked("another", place(ORDER, Some(&seller)), 403, "not-allowed").await;
    let clerk = token("clerk", &["warehouse"]);
    assert_asked("no user", place(ORDER, Some(&clerk)), 403, "not-allowed").await;
    let other = minted(
        "another secret that is just as long as it",
        &["--user", ANA],
    );
    let asked = assert_asked("forged", place(ORDER, Some(&other)), 401, "unauthenticated").await;
    assert_eq!(
        asked.challenge.as_deref(),
        Some(r#"Bearer error="invalid_token""#)
    );
    let old = minted(SECRET, &["--user", ANA, "--valid-seconds", "0"]);
    // The clocks of two machines may differ a little.
    assert_asked("just expired", place(ORDER, Some(&old)), 201, "").await;
    for scheme in ["Basic YTpi", "Bearer", ""] {
        let request = place(ORDER, None).header(header::AUTHORIZATION, scheme);
        let asked = assert_asked(scheme, request, 401, "unauthenticated").await;
        assert_eq!(
            asked.challenge.as_deref(),
            Some(r#"Bearer error="invalid_request""#)
        );
    }
    let another = "0115e600-0000-4000-8000-0000000000aa";
    assert_asked("the user", place(another, Some(&ana)), 201, "").await;
    let another = "0115e600-0000-4000-8000-0000000000ab";
    let staff = token(SELLER, &["staff"]);
    assert_asked("staff", place(another, Some(&staff)), 201, "").await;
    // Who acted stands in the event, where it was not the user.
    let log = site.log().await;
    let actors: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["actor"].clone())
        .collect();
    assert_eq!(actors, [Value::Null, Value::Null, json!(SELLER)]);
    // To say when something happened takes a right of its own.
    let timed = place(another, Some(&ana)).header("foldline-time", "2018-01-01T00:00:00Z");
    assert_asked("import", timed, 403, "not-allowed").await;
}

#[tokio::test]
async fn queries_are_for_whom_they_say() {
    let _turn = alone().await;
    let site = site().await;
    let ask = |path: &str, token: Option<String>| {
        let request = nobody().get(format!("{}/v1/views/{path}", site.node.url));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    };
    let (ana, seller) = (|| Some(token(ANA, &[])), || Some(token(SELLER, &[])));
    let anas = format!("orders_by_user/mine?user_id={ANA}");
    let public = "products/search";
    for (path, token, status, code) in [
        (public, None, 200, ""),
        (public, Some("nonsense".to_owned()), 401, "unauthenticated"),
        ("orders_by_user/mine", None, 401, "unauthenticated"),
        ("orders_by_user/mine", ana(), 200, ""),
        (&anas, ana(), 200, ""),
        (&anas, seller(), 403, "not-allowed"),
        (&anas, Some(token("operator", &["staff"])), 200, ""),
        ("users/by_state?state=SP", None, 401, "unauthenticated"),
        ("users/by_state?state=SP", ana(), 403, "not-allowed"),
        (
            "users/by_state?state=SP",
            Some(token(ANA, &["staff"])),
            200,
            "",
        ),
    ] {
        assert_asked(path, ask(path, token), status, code).await;
    }
}

#[tokio::test]
async fn whoever_looks_after_a_node_is_staff() {
    let _turn = alone().await;
    let site = site().await;
    for path in ["/", "/healthz", "/readyz"] {
        let open = nobody().get(format!("{}{path}", site.node.url));
        assert_asked(path, open, 200, "").await;
    }
    for path in [
        "/metrics",
        "/v1/admin/views",
        "/v1/admin/config",
        "/v1/admin/export/orders",
    ] {
        let request = || nobody().get(format!("{}{path}", site.node.url));
        assert_asked(path, request(), 401, "unauthenticated").await;
        let ana = request().bearer_auth(token(ANA, &["import"]));
        assert_asked(path, ana, 403, "not-allowed").await;
        assert_asked(path, site.get(path), 200, "").await;
    }
    let replay = "/v1/admin/views/order/replay";
    let request = nobody().post(format!("{}{replay}", site.node.url));
    assert_asked(replay, request, 401, "unauthenticated").await;
    // The secret is nobody's business, staff or not.
    let (_, shown) = site.node.get("/v1/admin/config").await;
    assert!(
        shown.contains("(hidden)") && !shown.contains(SECRET),
        "{shown}"
    );
}

#[tokio::test]
async fn the_tools_show_the_token_they_are_given() {
    let _turn = alone().await;
    let site = site().await;
    let views = |token: Option<String>| {
        let mut market = std::process::Command::new(env!("CARGO_BIN_EXE_market"));
        market.args(["views", "--url", &site.node.url]);
        if let Some(token) = token {
            market.env("FOLDLINE_TOKEN", token);
        }
        market.output().expect("the tool runs")
    };
    let shown = views(Some(token("operator", &["staff"])));
    assert!(shown.status.success(), "{shown:?}");
    let refused = views(None);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("token"),
        "{said}"
    );
}

#[tokio::test]
async fn a_user_who_sends_too_much_is_told_when_to_go_on_and_nobody_else_is() {
    let _turn = alone().await;
    let site = Site::with(&[
        ("FOLDLINE_HTTP__USER_COMMANDS_PER_SECOND", Path::new("1")),
        ("FOLDLINE_HTTP__USER_COMMANDS_BURST", Path::new("5")),
    ])
    .await;
    let register = || {
        site.command("accounts/register", "{}")
            .header("idempotency-key", "one")
    };
    let (mut taken, mut sent) = (0, 0);
    let refused = loop {
        sent += 1;
        assert!(sent < 1000, "{taken} commands in a second");
        let answer = register().send().await.expect("an answer");
        if answer.status() != 201 {
            break answer;
        }
        taken += 1;
    };
    assert!(taken >= 5, "{taken}");
    assert_eq!(refused.status(), problem::TOO_MANY_REQUESTS.status);
    assert_eq!(refused.headers()["retry-after"], "1");
    let told: Value = refused.json().await.expect("JSON");
    assert_eq!(told["code"], problem::TOO_MANY_REQUESTS.code);
    let other = site
        .post(&format!("/v1/users/{SELLER}/accounts/register"))
        .header(header::CONTENT_TYPE, "application/json");
    site.accepted(other.body("{}")).await;
    assert_eq!(site.log().await.lines().count(), 2);
}
