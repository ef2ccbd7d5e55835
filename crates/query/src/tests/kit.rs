//! Tables with rows in them, and a query side over them.

use std::{sync::Arc, time::Duration};

use foldline_kernel::{
    Caller, Checkpoint, Lane, LaneSequence, LogId, Position, Sequence, Timestamp, Topology, UserId,
};
use foldline_read_model::{Access, Change, Field, Model, Order, OrderTerm, RowKey, Value};
use foldline_tables::{
    Batch, GenerationNumber, GenerationState, Parked, Sqlite, TableWriter, Tables,
    conformance::models,
};
use uuid::Uuid;

use crate::{Answer, Notice, Parts, Queries, QueryError, Request, Settings};

pub(super) const LOG: LogId = LogId(Uuid::nil());
pub(super) const ANN: UserId = UserId(Uuid::from_u128(1));
pub(super) const BOB: UserId = UserId(Uuid::from_u128(2));

/// A long wait, for tests in which it is not what ends the waiting.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A store and what asks it.
pub(super) struct Bed {
    _dir: tempfile::TempDir,
    pub(super) tables: Arc<Sqlite>,
    pub(super) queries: Arc<Queries>,
    pub(super) notice: Notice,
}

pub(super) async fn bed(models: &[&Arc<Model>], settings: Settings) -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let tables = Arc::new(Sqlite::open(dir.path()).await.unwrap());
    let store = Arc::clone(&tables) as Arc<dyn Tables>;
    let (queries, notice) = queries_and_notice(store, models, settings);
    Bed {
        _dir: dir,
        tables,
        queries: Arc::new(queries),
        notice,
    }
}

/// A query side over any tables.
pub(super) fn queries(
    tables: Arc<dyn Tables>,
    models: &[&Arc<Model>],
    settings: Settings,
) -> Queries {
    queries_and_notice(tables, models, settings).0
}

fn queries_and_notice(
    tables: Arc<dyn Tables>,
    models: &[&Arc<Model>],
    settings: Settings,
) -> (Queries, Notice) {
    let notice = Notice::new(models.iter().copied());
    let contexts = vec!["orders".parse().unwrap()];
    let queries = Queries::new(Parts {
        tables,
        models: models.iter().copied().cloned().collect(),
        load: Arc::new(load),
        notice: notice.clone(),
        topology: Some(Topology::new(LOG, "market".parse().unwrap(), 8, contexts).unwrap()),
        settings,
    });
    (queries, notice)
}

/// Older definitions are the same as today's, but for a query that was called `formerly`.
fn load(name: &str, definition: &str) -> Result<Model, String> {
    if definition.is_empty() {
        return Err("it is empty".into());
    }
    let mut model = Arc::try_unwrap(models::sales(name)).unwrap();
    model.queries[0].name = "formerly".into();
    Ok(model)
}

/// A buyer's orders: `mine` for the owner, `by_state` for staff.
pub(super) fn orders() -> Arc<Model> {
    let mut model = Arc::try_unwrap(models::orders("orders_by_user")).unwrap();
    model.queries[0].access = Access::Owner;
    let mut staff = models::query(&model, "by_status", &[models::eq(3)], &[]);
    staff.access = Access::Staff;
    model.queries.push(staff);
    Arc::new(model)
}

/// One order, the user a hidden part of the key.
pub(super) fn order() -> Arc<Model> {
    use foldline_read_model::{ColumnType, Role, Scope};
    let key = [
        ("order_id", ColumnType::Uuid, false),
        ("_user", ColumnType::Uuid, false),
    ];
    let values = [("status", ColumnType::Text, Role::Set)];
    let mut model = models::model("order", &key, &values);
    model.scope = Scope::User;
    model.user_column = Some(1);
    let mut query = models::query(&model, "by_id", &[models::eq(0)], &[]);
    query.fields = vec![Field::Column(0), Field::Column(2)];
    query.access = Access::Owner;
    model.queries = vec![query];
    Arc::new(model)
}

/// Sums, with a derived value among the fields, and two orders to choose from.
pub(super) fn sales() -> Arc<Model> {
    let mut model = Arc::try_unwrap(models::sales("seller_sales")).unwrap();
    let top = &mut model.queries[1];
    let mut terms = top.orders[0].terms.clone();
    terms[0] = OrderTerm {
        field: Field::Derived(0),
        descending: true,
    };
    let name = "mean".into();
    top.orders.push(Order { name, terms });
    top.fields.push(Field::Derived(0));
    Arc::new(model)
}

/// Listed things, by words and price.
pub(super) fn things() -> Arc<Model> {
    models::things("products")
}

/// A generation that is written to.
pub(super) struct Table {
    pub(super) model: Arc<Model>,
    pub(super) number: GenerationNumber,
    writer: Box<dyn TableWriter>,
    at: [u64; 8],
}

pub(super) async fn table(bed: &Bed, model: &Arc<Model>) -> Table {
    let number = bed.tables.create(model, LOG).await.unwrap().number;
    Table {
        model: Arc::clone(model),
        number,
        writer: bed.tables.writer(model, number).await.unwrap(),
        at: [0; 8],
    }
}

/// A generation that serves.
pub(super) async fn served(bed: &Bed, model: &Arc<Model>) -> Table {
    let table = table(bed, model).await;
    let generations = bed.tables.generations(&model.name).await.unwrap();
    let mut generations = generations.iter();
    let serving = generations.find(|known| known.state == GenerationState::Serving);
    let from = serving.map(|serving| serving.number);
    let switched = bed.tables.switch(&model.name, from, table.number).await;
    switched.unwrap();
    table
}

impl Table {
    /// Commits one event of a lane that sets these columns of a row.
    pub(super) async fn put(
        &mut self,
        lane: u16,
        key: impl IntoIterator<Item = Value>,
        operands: &[(usize, Value)],
    ) -> Position {
        let mut change = Change::upsert(LaneSequence(1));
        for (column, operand) in operands {
            change.touch(&self.model, *column, operand.clone());
        }
        let key: RowKey = key.into_iter().collect();
        self.commit(lane, vec![(key, change)], vec![]).await
    }

    /// Parks a user at the next event of a lane.
    pub(super) async fn park(&mut self, lane: u16, user: UserId) -> Position {
        let position = position(lane, self.at[usize::from(lane)] + 1);
        let parked = Parked {
            user,
            lane: Lane(lane),
            position,
            lane_sequence: LaneSequence(self.at[usize::from(lane)] + 1),
            reason: "a sum overflows".into(),
        };
        self.commit(lane, vec![], vec![parked]).await
    }

    async fn commit(
        &mut self,
        lane: u16,
        rows: Vec<(RowKey, Change)>,
        parked: Vec<Parked>,
    ) -> Position {
        let at = &mut self.at[usize::from(lane)];
        let seen = LaneSequence(*at);
        *at += 1;
        let mut checkpoint = Checkpoint::beginning(LOG, Lane(lane));
        let context = "orders".parse().unwrap();
        checkpoint.advance(&context, Sequence(*at), LaneSequence(*at));
        let position = position(lane, *at);
        let batch = Batch {
            checkpoints: vec![(seen, checkpoint)],
            rows,
            lanes: Vec::new(),
            parked,
        };
        self.writer.commit(&batch).await.unwrap();
        position
    }
}

pub(super) fn position(lane: u16, sequence: u64) -> Position {
    Position {
        context: "orders".parse().unwrap(),
        partition: Lane(lane),
        sequence: Sequence(sequence),
    }
}

pub(super) fn uuid(number: u128) -> Value {
    Value::Uuid(Uuid::from_u128(number))
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(super) fn time(micros: i64) -> Value {
    Value::Time(Timestamp::from_micros(micros).unwrap())
}

/// A request by staff; `parameters` as in a URL: `a=1&b=2`.
pub(super) fn request(model: &str, query: &str, parameters: &str) -> Request {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    Request {
        model: model.into(),
        query: query.into(),
        parameters: parameters.split_terminator('&').map(pair).collect(),
        caller: Caller::open(),
        at_least: Vec::new(),
    }
}

impl Bed {
    pub(super) async fn ask(
        &self,
        model: &str,
        query: &str,
        parameters: &str,
    ) -> Result<Answer, QueryError> {
        self.queries.answer(request(model, query, parameters)).await
    }

    pub(super) async fn ask_by(
        &self,
        caller: Caller,
        model: &str,
        query: &str,
        parameters: &str,
    ) -> Result<Answer, QueryError> {
        let request = request(model, query, parameters);
        self.queries.answer(Request { caller, ..request }).await
    }
}

pub(super) fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// One column of every row of an answer.
pub(super) fn column(answer: &Answer, name: &str) -> Vec<serde_json::Value> {
    let rows = json(answer)["rows"].as_array().unwrap().clone();
    rows.into_iter().map(|row| row[name].clone()).collect()
}
