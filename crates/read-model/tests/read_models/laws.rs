//! The law that everything on the read side rests on: events folded in any batches give the rows,
//! and park the users, that the same events give one by one.

use std::collections::{BTreeMap, BTreeSet};

use foldline_kernel::UserId;
use foldline_read_model::{
    Change, FoldError, Model, Overflow, PlainFold, RowKey, RowValues, load_str,
    spec::{Recorder, happened},
};
use foldline_schema::{Catalog, Event};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalog::{catalog, placed};

/// Everything that a rule can do to a row, over the events of orders.
const USER: &str = r#"
name   = "everything"
table  = "relational"
source = ["orders"]
key    = ["order_id"]
row    = { order_id = "data.order_id" }

[columns]
order_id = "uuid"
status   = "text"
total    = "bigint"
count    = "bigint"
first    = "time"
greatest = "bigint"

[on."order.placed.v1"]
set = { status = "data.currency" }
add = { total = "data.total_cents", count = 1 }
min = { first = "time" }
max = { greatest = "data.total_cents" }

[on."order.shipped.v1"]
set = { status = "type" }
add = { total = "-5" }

[on."order.delivered.v1"]
add = { total = "9223372036854775807 - 100" }

[on."order.cancelled.v1"]
delete = true

[on."order.approved.v1"]
when = "1 / (lanesequence % 7) >= 0"
"#;

const SHARED: &str = r#"
name   = "everything"
table  = "relational"
scope  = "shared"
source = ["orders"]
key    = ["seller"]

[columns]
seller = "uuid"
units  = "bigint"
latest = "time"
least  = "bigint"

[on."order.placed.v1"]
each = "data.lines"
row  = { seller = "item.seller_id" }
add  = { units = "item.quantity * item.unit_price_cents" }
max  = { latest = "time" }
min  = { least = "item.unit_price_cents" }
"#;

/// What a projector does: one change for each row and batch, one by one where that may not be.
struct Batched<'a> {
    model: &'a Model,
    catalog: &'a Catalog,
    rows: BTreeMap<RowKey, RowValues>,
    parked: BTreeSet<UserId>,
}

impl Batched<'_> {
    fn apply(&mut self, batch: &[Event]) {
        if self.together(batch).is_err() {
            for event in batch {
                if self.together(std::slice::from_ref(event)).is_err() {
                    self.parked.insert(event.subject);
                }
            }
        }
    }

    fn together(&mut self, batch: &[Event]) -> Result<(), Overflow> {
        let mut parked = self.parked.clone();
        let mut changes: BTreeMap<RowKey, Change> = BTreeMap::new();
        for event in batch.iter() {
            if parked.contains(&event.subject) {
                continue;
            }
            let folded = match self.model.fold(self.catalog, event) {
                Ok(folded) => folded,
                Err(FoldError::Unfit(_)) => {
                    parked.insert(event.subject);
                    continue;
                }
                Err(FoldError::UnknownType(unknown)) => panic!("{unknown}"),
            };
            for (key, change) in folded {
                match changes.get_mut(&key) {
                    Some(before) => before.then(self.model, change)?,
                    None => {
                        changes.insert(key, change);
                    }
                }
            }
        }
        let mut after = Vec::new();
        for (key, change) in changes {
            let row = change.apply(self.model, self.rows.get(&key).cloned())?;
            after.push((key, row));
        }
        for (key, row) in after {
            match row {
                Some(values) => self.rows.insert(key, values),
                None => self.rows.remove(&key),
            };
        }
        self.parked = parked;
        Ok(())
    }
}

fn id(number: u8) -> String {
    Uuid::from_u128(u128::from(number)).to_string()
}

/// (type, data) of something that happens to an order.
fn anything() -> impl Strategy<Value = (&'static str, Value)> {
    let order = (0..3_u8).prop_map(id);
    let amount = prop_oneof![
        8 => -1000..1000_i64,
        1 => Just(i64::MAX / 2),
        1 => Just(i64::MIN / 2 - 1),
        1 => Just(1 << 53),
    ];
    let line = (0..3_u8, 0..3_i64, amount);
    let steps = ["shipped", "delivered", "cancelled", "approved"];
    prop_oneof![
        2 => (order.clone(), proptest::collection::vec(line, 0..4)).prop_map(|(order, lines)| {
            let lines: Vec<_> = lines.into_iter().map(|(n, q, p)| (id(n), q, p)).collect();
            let lines: Vec<_> = lines.iter().map(|(n, q, p)| (n.as_str(), *q, *p)).collect();
            ("order.placed.v1", placed(&order, &lines))
        }),
        1 => (order, 0..steps.len()).prop_map(move |(order, step)| {
            let name = ["order.shipped.v1", "order.delivered.v1", "order.cancelled.v1",
                "order.approved.v1"][step];
            (name, json!({ "order_id": order }))
        }),
    ]
}

type Happening = (u8, i64, (&'static str, Value));

fn history() -> impl Strategy<Value = (Vec<Happening>, Vec<usize>)> {
    let happening = (0..3_u8, 0..50_i64, anything());
    (
        proptest::collection::vec(happening, 0..40),
        proptest::collection::vec(1..8_usize, 1..40),
    )
}

fn check(definition: &str, happenings: Vec<Happening>, cuts: &[usize]) {
    let catalog = catalog();
    let model = load_str("everything", definition, &catalog).unwrap_or_else(|e| panic!("{e}"));
    let mut recorder = Recorder::new(&catalog);
    let events: Vec<Event> = happenings
        .into_iter()
        .map(|(user, second, (type_name, data))| {
            let happened = happened(type_name, data)
                .by(UserId(Uuid::from_u128(u128::from(user))))
                .at(&format!("2020-01-01T00:00:{second:02}Z"));
            recorder.record(happened)
        })
        .collect();
    let mut plain = PlainFold::new(&model, &catalog);
    for event in &events {
        plain.apply(event).expect("every type is known");
    }
    let mut batched = Batched {
        model: &model,
        catalog: &catalog,
        rows: BTreeMap::new(),
        parked: BTreeSet::new(),
    };
    let mut rest = events.as_slice();
    for cut in cuts.iter().cycle() {
        let (batch, later) = rest.split_at((*cut).min(rest.len()));
        batched.apply(batch);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(&batched.rows, plain.rows());
    let parked: BTreeSet<_> = plain.parked().keys().copied().collect();
    assert_eq!(batched.parked, parked);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_batching_gives_the_same_rows_of_users((happenings, cuts) in history()) {
        check(USER, happenings, &cuts);
    }

    #[test]
    fn any_batching_gives_the_same_shared_rows((happenings, cuts) in history()) {
        check(SHARED, happenings, &cuts);
    }
}

/// The case that a batch could hide: a sum leaves its range, and the row is deleted later on.
#[test]
fn a_deletion_does_not_hide_an_overflow() {
    let order = id(1);
    // The second of these is one too many; with cuts 1 and 2 it shares its batch with the end.
    let step = json!({ "order_id": order });
    let happenings = vec![
        (1, 0, ("order.delivered.v1", step.clone())),
        (1, 0, ("order.delivered.v1", step.clone())),
        (1, 0, ("order.cancelled.v1", step.clone())),
        (2, 0, ("order.shipped.v1", step)),
    ];
    for cuts in [&[1][..], &[2], &[3], &[4], &[1, 2]] {
        check(USER, happenings.clone(), cuts);
    }
}
