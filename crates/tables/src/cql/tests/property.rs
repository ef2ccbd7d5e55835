//! Crashes between any two writes, duplicate delivery, zombies whose writes arrive late: whatever
//! happens, the rows are those of a plain fold.

use std::{collections::BTreeMap, sync::Arc};

use foldline_kernel::{Checkpoint, Lane, LaneSequence, LogId, Sequence, Timestamp};
use foldline_read_model::{
    Change, ColumnType, Model, Role, RowKey, RowValues, Rules, Scope, TableKind, Value,
};
use proptest::{
    prelude::any,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use uuid::Uuid;

use super::{Faults, ground::Ground};
use crate::{
    AsOf, Batch, Cql, GenerationNumber, TableReader, TableWriter, Tables, conformance::models,
    cql::session::Write,
};

const LOG: LogId = LogId(Uuid::from_u128(0x0115));
const LANES: usize = 4;
/// How many events each lane has: two of them are hot.
const EVENTS: [usize; LANES] = [40, 40, 6, 3];
/// How many attempts of any kind there are before the last writer is left in peace.
const STEPS: usize = 30;

/// What one event does.
type Event = Vec<(RowKey, Change)>;
type Rows = BTreeMap<RowKey, RowValues>;

struct Dice(TestRunner);

impl Dice {
    fn draw<S: Strategy>(&mut self, strategy: S) -> S::Value {
        let tree = strategy.new_tree(&mut self.0);
        tree.expect("a strategy that does not give up").current()
    }
}

/// Lists per user whose rows are set, summed and deleted.
fn mixed() -> Arc<Model> {
    let mut model = models::model(
        "mixed",
        &[
            ("user_id", ColumnType::Uuid, false),
            ("item", ColumnType::Bigint, true),
        ],
        &[
            ("title", ColumnType::Text, Role::Set),
            ("cents", ColumnType::Bigint, Role::Set),
            ("sum", ColumnType::Bigint, Role::Add),
            ("last_at", ColumnType::Time, Role::Max),
            ("first_at", ColumnType::Time, Role::Min),
        ],
    );
    model.table = TableKind::Wide;
    model.scope = Scope::User;
    model.user_column = Some(0);
    model.partition_length = 1;
    model.rules = Rules::that_delete();
    Arc::new(model)
}

/// Lists per user whose columns are only set, so that they are written blindly.
fn blind() -> Arc<Model> {
    let mut model = models::model(
        "blind",
        &[
            ("user_id", ColumnType::Uuid, false),
            ("item", ColumnType::Bigint, false),
        ],
        &[
            ("title", ColumnType::Text, Role::Set),
            ("cents", ColumnType::Bigint, Role::Set),
        ],
    );
    model.table = TableKind::Wide;
    model.scope = Scope::User;
    model.user_column = Some(0);
    model.partition_length = 1;
    Arc::new(model)
}

/// Totals that every lane contributes to.
fn shared() -> Arc<Model> {
    let mut model = models::model(
        "shared",
        &[
            ("month", ColumnType::Text, false),
            ("item", ColumnType::Bigint, false),
        ],
        &[
            ("sum", ColumnType::Bigint, Role::Add),
            ("last_at", ColumnType::Time, Role::Max),
            ("first_at", ColumnType::Time, Role::Min),
        ],
    );
    model.table = TableKind::Wide;
    model.partition_length = 1;
    Arc::new(model)
}

fn time(micros: i64) -> Value {
    Value::Time(Timestamp::from_micros(micros).expect("a time"))
}

/// One event of a lane: in scope `user` its rows are those of one of the lane's users.
fn event(dice: &mut Dice, model: &Model, lane: usize, at: u64) -> Event {
    let user = lane as u128 * 10 + dice.draw(0..2_u128);
    let mut event = BTreeMap::new();
    for _ in 0..dice.draw(1..3_u8) {
        let first = match model.scope {
            Scope::User => Value::Uuid(Uuid::from_u128(user)),
            Scope::Shared => Value::Text(["", "2018-01"][dice.draw(0..2_usize)].into()),
        };
        let key: RowKey = [first, Value::Bigint(dice.draw(0..3_i64))]
            .into_iter()
            .collect();
        let deletes = model.rules.delete_rows() && dice.draw(0..5_u8) == 0;
        let mut change = Change::upsert(LaneSequence(at));
        for (column, role) in (model.key_length..).zip(model.value_columns()) {
            if !dice.draw(any::<bool>()) {
                continue;
            }
            let n = dice.draw(-9..10_i64);
            let null = role.role == Role::Set && dice.draw(0..4_u8) == 0;
            let operand = match role.column_type {
                _ if null => Value::Null,
                ColumnType::Text => Value::Text(format!("title {n}").into()),
                ColumnType::Time => time(n),
                _ => Value::Bigint(n),
            };
            change.touch(model, column, operand);
        }
        if deletes {
            change = Change::delete(LaneSequence(at));
        }
        event.insert(key, change);
    }
    event.into_iter().collect()
}

/// A log in memory, and who has read how much of it.
struct World {
    dice: Dice,
    model: Arc<Model>,
    lanes: Vec<Vec<Event>>,
    cql: Cql,
    number: GenerationNumber,
    late: Vec<Vec<Write>>,
}

impl World {
    fn expected(&self) -> Rows {
        let mut rows = Rows::new();
        for (key, change) in self.lanes.iter().flatten().flatten() {
            let row = change
                .apply(&self.model, rows.remove(key))
                .expect("small sums");
            if let Some(row) = row {
                rows.insert(key.clone(), row);
            }
        }
        rows
    }

    /// The next events of some lanes after the places in `seen`, cut anywhere.
    fn batch(&mut self, seen: &[u64; LANES], whole: bool) -> Batch {
        let mut batch = Batch::default();
        for (lane, from) in seen.iter().enumerate() {
            let left = self.lanes[lane].len() as u64 - from;
            let more = if whole {
                left
            } else {
                self.dice.draw(0..=left.min(9))
            };
            if more == 0 {
                continue;
            }
            let id = Lane(lane as u16);
            let events = &self.lanes[lane][*from as usize..(from + more) as usize];
            for change in events.iter().flatten() {
                batch.rows.push(change.clone());
                batch.lanes.push(id);
            }
            let mut to = Checkpoint::beginning(LOG, id);
            let context = "orders".parse().expect("a name");
            to.advance(&context, Sequence(from + more), LaneSequence(from + more));
            batch.checkpoints.push((LaneSequence(*from), to));
        }
        batch
    }

    async fn seen(&self) -> [u64; LANES] {
        let absorbed = self.reader().await.absorbed().await.expect("absorbed");
        std::array::from_fn(|lane| {
            let at = absorbed.lane(Lane(lane as u16));
            at.map_or(0, |at| at.lane_sequence.0)
        })
    }

    async fn reader(&self) -> Arc<dyn TableReader> {
        let reader = self.cql.reader(&self.model, self.number).await;
        reader.expect("a reader")
    }

    async fn writer(&self) -> crate::cql::Writer {
        let writer = self.cql.open_writer(&self.model, self.number).await;
        writer.expect("a writer")
    }

    /// Some writes that were on their way arrive, in any order.
    async fn deliver(&mut self, all: bool) {
        let mut count = self.late.len();
        if !all {
            count = self.dice.draw(0..=count);
        }
        for _ in 0..count {
            let next = self.dice.draw(0..self.late.len());
            let writes = self.late.swap_remove(next);
            self.cql.store.write(&writes).await.expect("a late write");
        }
    }

    /// One writer, from what it finds until it dies or is replaced.
    async fn live(&mut self) {
        let mut writer = self.writer().await;
        let mut seen = self.seen().await;
        // A good life first, so that it has rows to remember.
        for _ in 0..self.dice.draw(0..3_u8) {
            let batch = self.batch(&seen, false);
            writer.commit(&batch).await.expect("nothing is in the way");
            for (_, to) in &batch.checkpoints {
                seen[usize::from(to.lane.0)] = to.lane_sequence.0;
            }
        }
        let faults = match self.dice.draw(0..3_u8) {
            0 => return,
            1 => {
                let (left, keeps) = self.dice.draw((0..8_usize, any::<bool>()));
                Faults::dying(left, keeps)
            }
            _ => Faults::zombie(self.dice.draw(proptest::option::weighted(0.7, 0..3_usize))),
        };
        let faults = Arc::new(faults);
        writer.faults = Some(Arc::clone(&faults));
        for _ in 0..self.dice.draw(1..3_u8) {
            // The same batch twice, or the next one; a zombie may have begun long ago.
            if faults.passes_stale() {
                for seen in &mut seen {
                    *seen -= self.dice.draw(0..=(*seen).min(5));
                }
            }
            let batch = self.batch(&seen, false);
            if writer.commit(&batch).await.is_err() {
                break;
            }
            for (_, to) in &batch.checkpoints {
                seen[usize::from(to.lane.0)] = to.lane_sequence.0;
            }
        }
        self.late.extend(faults.late());
    }

    async fn rows(&self) -> Rows {
        let mut snapshot = self.reader().await.snapshot().await.expect("a snapshot");
        assert_eq!(snapshot.as_of(), AsOf::Rows);
        let mut rows = Rows::new();
        loop {
            let some = snapshot.next_rows(100).await.expect("rows");
            if some.is_empty() {
                return rows;
            }
            rows.extend(some);
        }
    }
}

async fn any_history_gives_the_rows_of_a_plain_fold(model: Arc<Model>, rounds: usize) {
    let ground = Ground::new();
    let cql = ground.open().await;
    let mut runner = Dice(TestRunner::deterministic());
    for round in 0..rounds {
        let made = cql.create(&model, LOG).await.expect("a generation");
        let lanes = EVENTS.iter().enumerate().map(|(lane, events)| {
            let events = 1..=*events as u64;
            events
                .map(|at| event(&mut runner, &model, lane, at))
                .collect()
        });
        let lanes = lanes.collect();
        let mut world = World {
            dice: Dice(TestRunner::new_with_rng(
                Default::default(),
                proptest::test_runner::TestRng::from_seed(
                    proptest::test_runner::RngAlgorithm::ChaCha,
                    &[round as u8; 32],
                ),
            )),
            model: Arc::clone(&model),
            lanes,
            cql: cql.clone(),
            number: made.number,
            late: Vec::new(),
        };
        for _ in 0..STEPS {
            world.live().await;
            world.deliver(false).await;
        }
        let seen = world.seen().await;
        let last = world.batch(&seen, true);
        let mut writer = world.writer().await;
        writer
            .commit(&last)
            .await
            .expect("the last writer is left in peace");
        assert_eq!(world.seen().await.map(|seen| seen as usize), EVENTS);
        assert_eq!(world.rows().await, world.expected(), "round {round}");
        world.deliver(true).await;
        assert_eq!(world.rows().await, world.expected(), "late, round {round}");
        assert_eq!(world.seen().await.map(|seen| seen as usize), EVENTS);
    }
}

#[tokio::test]
async fn what_is_set_summed_and_deleted_survives_any_history() {
    any_history_gives_the_rows_of_a_plain_fold(mixed(), 8).await;
}

#[tokio::test]
async fn what_is_only_set_survives_any_history() {
    any_history_gives_the_rows_of_a_plain_fold(blind(), 4).await;
}

#[tokio::test]
async fn totals_of_all_lanes_survive_any_history() {
    any_history_gives_the_rows_of_a_plain_fold(shared(), 6).await;
}
