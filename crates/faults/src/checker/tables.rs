//! The tables held against the log: what the nodes prove themselves, and rows against a plain fold.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Findings, event::Event};

/// How long the read models may take to catch up.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many rows are asked for, spread over all.
const ROWS_MAX: usize = 2000;

/// Reads the tables by way of the nodes.
#[derive(Clone, Debug)]
pub struct Tables {
    client: reqwest::Client,
    projectors: Vec<String>,
    queries: Vec<String>,
}

impl Tables {
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(projectors: Vec<String>, queries: Vec<String>) -> Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            projectors,
            queries,
        })
    }

    /// Waits until every view of every projector has absorbed all there is.
    ///
    /// # Errors
    /// When they have not in time.
    async fn until_caught_up(&self) -> Result<()> {
        let began = Instant::now();
        for url in &self.projectors {
            loop {
                let views = self.get(&format!("{url}/v1/admin/views")).await?;
                let all = views["views"].as_array().context("no views")?;
                let behind: Vec<_> = all
                    .iter()
                    .filter(|view| view["events_behind"] != 0)
                    .collect();
                if behind.is_empty() {
                    break;
                }
                if began.elapsed() > CAUGHT_UP_MAX {
                    bail!("not caught up after {CAUGHT_UP_MAX:?}: {behind:?}");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Has each read model verified against the log, and rows of `order` compared with a fold.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn check(&self, lanes: &[Vec<&Event>], findings: &mut Findings) -> Result<()> {
        let Some(projector) = self.projectors.first() else {
            return Ok(());
        };
        if let Err(trouble) = self.until_caught_up().await {
            findings.add("table", format!("{trouble:#}"));
            return Ok(());
        }
        let views = self.get(&format!("{projector}/v1/admin/views")).await?;
        for view in views["views"].as_array().into_iter().flatten() {
            let name = view["name"].as_str().context("a view without a name")?;
            self.verify(projector, name, findings).await?;
        }
        self.rows(lanes, findings).await
    }

    /// `verify` streams progress as JSON lines; the last one is the report.
    async fn verify(&self, projector: &str, name: &str, findings: &mut Findings) -> Result<()> {
        let url = format!("{projector}/v1/admin/views/{name}/verify");
        let answer = self.client.post(url).json(&json!({})).send().await?;
        let text = answer.text().await?;
        let report: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
        if report["clean"] != true {
            findings.add("table", format!("{name}: {report}"));
        }
        Ok(())
    }

    async fn rows(&self, lanes: &[Vec<&Event>], findings: &mut Findings) -> Result<()> {
        let mut rows = BTreeMap::new();
        for event in lanes.iter().flatten() {
            fold(&mut rows, event);
        }
        let step = (rows.len() / ROWS_MAX).max(1);
        let some = rows
            .into_iter()
            .filter(|(_, row)| row.is_placed)
            .step_by(step);
        for (number, ((user, order), row)) in some.enumerate() {
            let Some(node) = self.queries.get(number % self.queries.len().max(1)) else {
                return Ok(());
            };
            let url = format!("{node}/v1/views/order/by_id?order_id={order}&user_id={user}");
            let answer = self.client.get(url);
            let answer = answer
                .header("foldline-at-least", &row.position)
                .send()
                .await?;
            let status = answer.status();
            let answer: Value = answer.json().await?;
            let expected = row.members(user, order);
            let found = answer["rows"].as_array().map_or(&[][..], Vec::as_slice);
            if status != 200 || found.len() != 1 || !is_same(&found[0], &expected) {
                let text = format!("{node}: {status}, {answer}, and the fold says {expected}");
                findings.add("row", text);
            }
        }
        Ok(())
    }

    async fn get(&self, url: &str) -> Result<Value> {
        Ok(self.client.get(url).send().await?.json().await?)
    }
}

/// A row of `order`, as `projections/order.toml` has it.
#[derive(Default)]
struct Row {
    is_placed: bool,
    /// Where the last event is that it comes of.
    position: String,
    columns: serde_json::Map<String, Value>,
    paid_cents: i64,
}

fn fold(rows: &mut BTreeMap<(Uuid, Uuid), Row>, event: &Event) {
    let facts = &event.facts;
    let row = rows.entry((event.user, facts.order_id)).or_default();
    row.position = event.position();
    let mut set = |column: &str, value: Value| drop(row.columns.insert(column.to_owned(), value));
    match &*event.kind {
        "order.placed.v1" => {
            row.is_placed = true;
            set("status", "placed".into());
            set("placed_at", facts.placed_at.clone().into());
            set("currency", facts.currency.clone().into());
            set("items_cents", facts.items_cents.into());
            set("freight_cents", facts.freight_cents.into());
            set("total_cents", facts.total_cents.into());
            set("lines", facts.lines.len().into());
        }
        "order.approved.v1" => {
            set("status", "approved".into());
            set("approved_at", event.time.clone().into());
        }
        "order.shipped.v1" => {
            set("status", "shipped".into());
            set("shipped_at", event.time.clone().into());
        }
        "order.delivered.v1" => {
            set("status", "delivered".into());
            set("delivered_at", event.time.clone().into());
        }
        "order.cancelled.v1" => set("status", "cancelled".into()),
        "payment.captured.v1" => row.paid_cents += facts.amount_cents,
        "payment.refunded.v1" => row.paid_cents -= facts.amount_cents,
        _ => {}
    }
}

impl Row {
    fn members(&self, user: Uuid, order: Uuid) -> Value {
        let mut members = self.columns.clone();
        members.insert("order_id".to_owned(), json!(order));
        members.insert("user_id".to_owned(), json!(user));
        members.insert("paid_cents".to_owned(), self.paid_cents.into());
        Value::Object(members)
    }
}

/// Columns that are null are not in the fold; times may be written in more than one way.
fn is_same(found: &Value, expected: &Value) -> bool {
    let (Some(found), Some(expected)) = (found.as_object(), expected.as_object()) else {
        return false;
    };
    let is_set = |(_, value): &(&String, &Value)| !value.is_null();
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    found.iter().filter(is_set).count() == expected.len()
        && expected.iter().all(|(name, value)| {
            let found = found.get(name).unwrap_or(&Value::Null);
            found == value || time(found).is_some_and(|found| time(value) == Some(found))
        })
}
