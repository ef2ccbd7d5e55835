//! What the cases are written with.

use std::{collections::BTreeMap, sync::Arc};

use foldline_kernel::{Checkpoint, Lane, LaneSequence, LogId, Position, UserId};
use foldline_read_model::{Change, Field, Model, OrderTerm, RowKey, RowValues, Value};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use uuid::Uuid;

use crate::{
    Absorbed, AsOf, Batch, Condition, GenerationNumber, OrderValue, Parked, Select, Selected,
    TableReader, TableWriter, Tables,
};

/// The log that every checkpoint here belongs to.
pub(super) const LOG: LogId = LogId(Uuid::from_u128(0x0115));

/// The rows of a table, by key.
pub(super) type Rows = BTreeMap<RowKey, RowValues>;

pub(super) fn uuid(number: u128) -> Value {
    Value::Uuid(Uuid::from_u128(number))
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(super) fn time(micros: i64) -> Value {
    Value::Time(foldline_kernel::Timestamp::from_micros(micros).expect("a time"))
}

pub(super) fn key(values: impl IntoIterator<Item = Value>) -> RowKey {
    values.into_iter().collect()
}

/// A change with these operands.
pub(super) fn change(model: &Model, at: u64, operands: &[(usize, Value)]) -> Change {
    let mut change = Change::upsert(LaneSequence(at));
    for (column, operand) in operands {
        change.touch(model, *column, operand.clone());
    }
    change
}

pub(super) fn checkpoint(lane: u16, at: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::beginning(LOG, Lane(lane));
    let context = "orders".parse().expect("a name");
    checkpoint.advance(&context, foldline_kernel::Sequence(at), LaneSequence(at));
    checkpoint
}

/// A batch of one lane. A key that comes several times is composed, as the projector does.
pub(super) fn batch(
    model: &Model,
    lane: u16,
    from: u64,
    to: u64,
    changes: impl IntoIterator<Item = (RowKey, Change)>,
) -> Batch {
    let mut rows: BTreeMap<RowKey, Change> = BTreeMap::new();
    for (key, change) in changes {
        match rows.remove(&key) {
            Some(mut first) => {
                first.then(model, change).expect("sums that fit");
                rows.insert(key, first);
            }
            None => {
                rows.insert(key, change);
            }
        }
    }
    Batch {
        checkpoints: vec![(LaneSequence(from), checkpoint(lane, to))],
        rows: rows.into_iter().collect(),
        ..Batch::default()
    }
}

/// Applies a batch to rows in memory, by the same rule.
pub(super) fn apply(model: &Model, rows: &mut Rows, batch: &Batch) {
    for (key, change) in &batch.rows {
        let row = change
            .apply(model, rows.remove(key))
            .expect("sums that fit");
        if let Some(row) = row {
            rows.insert(key.clone(), row);
        }
    }
}

pub(super) fn parked(user: u128, lane: u16, at: u64, reason: &str) -> Parked {
    Parked {
        user: UserId(Uuid::from_u128(user)),
        lane: Lane(lane),
        position: Position {
            context: "orders".parse().expect("a name"),
            partition: Lane(lane),
            sequence: foldline_kernel::Sequence(at),
        },
        lane_sequence: LaneSequence(at),
        reason: reason.into(),
    }
}

/// A new generation, open for writing.
pub(super) async fn fresh(
    tables: &Arc<dyn Tables>,
    model: &Arc<Model>,
) -> (GenerationNumber, Box<dyn TableWriter>) {
    let generation = tables.create(model, LOG).await.expect("a new generation");
    let writer = tables.writer(model, generation.number).await;
    (generation.number, writer.expect("a writer"))
}

/// A new generation with these rows.
pub(super) async fn filled(
    tables: &Arc<dyn Tables>,
    model: &Arc<Model>,
    changes: impl IntoIterator<Item = (RowKey, Change)>,
) -> Arc<dyn TableReader> {
    let (number, mut writer) = fresh(tables, model).await;
    let batch = batch(model, 0, 0, 1, changes);
    writer.commit(&batch).await.expect("a first commit");
    writer.finish_loading().await.expect("a finished load");
    tables.reader(model, number).await.expect("a reader")
}

/// Reads every row, hidden columns included.
pub(super) async fn all_rows(reader: &Arc<dyn TableReader>) -> (Rows, Absorbed) {
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    let sorted = snapshot.as_of() == AsOf::Checkpoints;
    let mut rows = Rows::new();
    loop {
        let some = snapshot.next_rows(7).await.expect("rows");
        if some.is_empty() {
            return (rows, snapshot.absorbed().clone());
        }
        for (key, values) in some {
            let further = rows.last_key_value().is_none_or(|(last, _)| *last < key);
            assert!(
                !sorted || further,
                "{key:?} comes after {:?}",
                rows.last_key_value()
            );
            let twice = rows.insert(key, values);
            assert!(twice.is_none(), "no row comes twice");
        }
    }
}

pub(super) fn ascending(column: usize) -> OrderTerm {
    OrderTerm {
        field: Field::Column(column),
        descending: false,
    }
}

pub(super) fn descending(column: usize) -> OrderTerm {
    OrderTerm {
        field: Field::Column(column),
        descending: true,
    }
}

pub(super) fn select(conditions: &[Condition], order: &[OrderTerm]) -> Select {
    Select {
        conditions: conditions.to_vec(),
        words: None,
        order: order.to_vec(),
        after: None,
        limit: 1000,
        present_only: false,
        fresh: true,
    }
}

/// Follows a selection to its end, some rows at a time.
pub(super) async fn pages(
    model: &Model,
    reader: &Arc<dyn TableReader>,
    select: &Select,
    size: u32,
) -> Vec<Vec<Value>> {
    let mut select = Select {
        limit: size,
        ..select.clone()
    };
    let mut rows: Vec<Vec<Value>> = Vec::new();
    loop {
        let Selected { rows: page, .. } = reader.select(&select).await.expect("a page");
        assert!(
            page.len() <= size as usize,
            "a page is never longer than asked"
        );
        let Some(last) = page.last() else {
            return rows;
        };
        let value = |term: &OrderTerm| order_value(model, term.field, last);
        select.after = Some(select.order.iter().map(value).collect());
        rows.extend(page);
        assert!(rows.len() < 100_000, "the pages never end");
    }
}

/// What a row has for a term of an order.
pub(super) fn order_value(model: &Model, field: Field, row: &[Value]) -> OrderValue {
    match field {
        Field::Column(column) => OrderValue::Column(row[column].clone()),
        Field::Derived(derived) => {
            let derived = &model.derived[derived];
            OrderValue::Derived(match (&row[derived.dividend], &row[derived.divisor]) {
                (Value::Bigint(_), Value::Bigint(0)) => None,
                (Value::Bigint(above), Value::Bigint(below)) => Some(*above as f64 / *below as f64),
                _ => None,
            })
        }
    }
}

/// Compares two rows in an order.
pub(super) fn compare(
    model: &Model,
    order: &[OrderTerm],
    a: &[Value],
    b: &[Value],
) -> std::cmp::Ordering {
    let mut terms = order.iter().map(|term| {
        let values = (
            order_value(model, term.field, a),
            order_value(model, term.field, b),
        );
        let ascending = match values {
            (OrderValue::Column(a), OrderValue::Column(b)) => a.cmp(&b),
            // `None` is below every number, and none of them is NaN.
            (OrderValue::Derived(a), OrderValue::Derived(b)) => {
                a.partial_cmp(&b).expect("a division without NaN")
            }
            _ => unreachable!("a term is of one kind"),
        };
        if term.descending {
            ascending.reverse()
        } else {
            ascending
        }
    });
    terms
        .find(|ordering| ordering.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

/// Draws values: other ones for every seed, the same ones in every run.
pub(super) struct Dice(TestRunner);

impl Dice {
    pub(super) fn new() -> Self {
        Self(TestRunner::deterministic())
    }

    pub(super) fn draw<S: Strategy>(&mut self, strategy: S) -> S::Value {
        let tree = strategy.new_tree(&mut self.0);
        tree.expect("a strategy that does not give up").current()
    }
}
