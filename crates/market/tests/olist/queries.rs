//! Asks a node every question and compares the answers row by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Client;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::expected::Expected;
use crate::node::Node;
use crate::questions::{Question, questions};

const QUESTIONS_AT_ONCE: usize = 32;
const PAGES_MAX: usize = 10_000;
const DIFFERENCES_SHOWN: usize = 5;

/// An answer read to its end.
struct Answer {
    rows: Vec<Value>,
    pages: usize,
}

/// Asks for every row of every read model, page by page, and says what is not as expected.
pub(crate) async fn assert_every_row(node: &Node, expected: &Expected) {
    assert_row_counts(node, expected);
    let longest = assert_every_answer(node, expected).await;
    assert_cursors_were_used(&longest);
}

/// The same where the number of rows is known already: of a node that only answers. Gives the
/// most pages that an answer to each query had.
pub(crate) async fn assert_every_answer(
    node: &Node,
    expected: &Expected,
) -> BTreeMap<(&'static str, &'static str), usize> {
    let questions = questions(expected);
    let asked = questions.len();
    let mut running = JoinSet::new();
    let turns = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
    for question in questions {
        let turn = turns
            .clone()
            .acquire_owned()
            .await
            .expect("turns are never closed");
        let (client, url) = (node.client.clone(), node.url.clone());
        running.spawn(async move {
            let answer = read(&client, &url, &question).await;
            drop(turn);
            let pages = answer.as_ref().map_or(0, |answer| answer.pages);
            let difference = answer
                .and_then(|answer| compare(&question, &answer.rows))
                .err();
            ((question.model, question.query), pages, difference)
        });
    }
    let mut longest: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut differences = Vec::new();
    while let Some(done) = running.join_next().await {
        let (query, pages, difference) = done.expect("no question panics");
        let most = longest.entry(query).or_default();
        *most = pages.max(*most);
        differences.extend(difference);
    }
    assert_none(&differences, asked);
    longest
}

/// No read model has a row too many.
pub(crate) fn assert_row_counts(node: &Node, expected: &Expected) {
    let views = node.views();
    for (model, rows) in &expected.rows {
        let view = views
            .iter()
            .find(|view| view["name"] == *model || view["read_model"] == *model)
            .unwrap_or_else(|| panic!("market views names no {model}: {views:#?}"));
        assert_eq!(
            view["rows"].as_u64(),
            Some(rows.len() as u64),
            "rows of {model}: {view}"
        );
    }
}

fn assert_none(differences: &[String], asked: usize) {
    let shown = &differences[..differences.len().min(DIFFERENCES_SHOWN)];
    let (wrong, list) = (differences.len(), shown.join("\n"));
    assert!(
        differences.is_empty(),
        "{wrong} of {asked} answers differ, the first:\n{list}"
    );
}

fn assert_cursors_were_used(longest: &BTreeMap<(&str, &str), usize>) {
    for query in [
        ("order_timeline", "of"),
        ("products", "search"),
        ("seller_ratings", "best"),
        ("seller_sales", "top"),
        ("users", "by_state"),
    ] {
        assert!(
            longest[&query] >= 3,
            "{query:?} was never longer than {} pages",
            longest[&query]
        );
    }
}

/// Follows the cursors of one question to the end.
async fn read(client: &Client, url: &str, question: &Question) -> Result<Answer, String> {
    let base = format!("{url}/v1/views/{}/{}", question.model, question.query);
    let mut answer = Answer {
        rows: Vec::new(),
        pages: 0,
    };
    let mut cursor: Option<String> = None;
    loop {
        let page = question.page.map(|rows| ("limit", rows.to_string()));
        let at = cursor.take().map(|cursor| ("cursor", cursor));
        let parameters = question.parameters.iter().cloned().chain(page).chain(at);
        let url = reqwest::Url::parse_with_params(&base, parameters).expect("a URL");
        let body = get(client, url.clone()).await?;
        let rows = body["rows"]
            .as_array()
            .ok_or_else(|| format!("{url}: no rows in {body}"))?;
        answer.pages += 1;
        if question.page.is_some_and(|most| rows.len() > most) {
            return Err(format!("{url}: a page of {} rows", rows.len()));
        }
        if answer.pages > PAGES_MAX {
            return Err(format!("{url}: no end after {PAGES_MAX} pages"));
        }
        answer.rows.extend_from_slice(rows);
        cursor = body["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(answer);
        }
    }
}

async fn get(client: &Client, url: reqwest::Url) -> Result<Value, String> {
    let shown = url.clone();
    let said = |error: reqwest::Error| format!("{shown}: {error:?}");
    let response = client.get(url).send().await.map_err(said)?;
    let status = response.status();
    let body = response.text().await.map_err(said)?;
    if status != 200 {
        return Err(format!("{shown}: {status} {body}"));
    }
    serde_json::from_str(&body).map_err(|error| format!("{shown}: {error} in {body}"))
}

/// Compares the columns that are expected; an answer may have more of them, but no other rows.
fn compare(question: &Question, answered: &[Value]) -> Result<(), String> {
    let columns = question.rows.first().and_then(Value::as_object);
    let names: Vec<&String> = columns
        .into_iter()
        .flat_map(|columns| columns.keys())
        .collect();
    let only_named = |row: &Value| {
        let pair = |name: &&String| ((*name).clone(), row.get(*name).cloned());
        let missing = |value: Option<Value>| value.unwrap_or_else(|| "(no such column)".into());
        Value::Object(
            names
                .iter()
                .map(pair)
                .map(|(n, v)| (n, missing(v)))
                .collect(),
        )
    };
    let mut expected = question.rows.clone();
    let mut answered: Vec<Value> = answered.iter().map(only_named).collect();
    if !question.ordered {
        expected.sort_by_key(Value::to_string);
        answered.sort_by_key(Value::to_string);
    }
    if expected == answered {
        return Ok(());
    }
    let at = expected.iter().zip(&answered).position(|(a, b)| a != b);
    let at = at.unwrap_or(expected.len().min(answered.len()));
    let row = |rows: &[Value]| rows.get(at).map_or("none".to_owned(), Value::to_string);
    Err(format!(
        "{}/{} {:?}: {} rows expected, {} answered; row {at}\n  expected {}\n  answered {}",
        question.model,
        question.query,
        question.parameters,
        expected.len(),
        answered.len(),
        row(&expected),
        row(&answered),
    ))
}

#[test]
fn a_wrong_row_a_missing_one_and_one_too_many_are_all_noticed() {
    let row = |id: u64, sum: u64| serde_json::json!({ "id": id, "sum": sum });
    let due = vec![row(1, 10), row(2, 20)];
    let check = |ordered: bool, answered: &[Value]| {
        let (model, query, parameters) = ("model", "query", Vec::new());
        let rows = due.clone();
        let question = Question {
            model,
            query,
            parameters,
            rows,
            ordered,
            page: None,
        };
        compare(&question, answered).is_ok()
    };
    let extra = serde_json::json!({ "id": 1, "sum": 10, "more": "is no fault" });
    assert!(check(true, &[extra, row(2, 20)]));
    assert!(check(false, &[row(2, 20), row(1, 10)]));
    assert!(!check(true, &[row(2, 20), row(1, 10)]), "another order");
    assert!(!check(true, &[row(1, 10), row(2, 21)]), "another value");
    assert!(!check(false, &[row(1, 10)]), "a missing row");
    assert!(
        !check(false, &[row(1, 10), row(2, 20), row(2, 20)]),
        "a row twice"
    );
    assert!(
        !check(false, &[row(1, 10), serde_json::json!({ "id": 2 })]),
        "a missing column"
    );
}
