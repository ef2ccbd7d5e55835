//! How SQLite answers the declared queries: by an index or the primary key, in its order.

use std::{collections::BTreeMap, path::Path};

use foldline_read_model::{
    Access, ColumnType, Field, Filter, FilterKind, Model, Order, Query, Value, load_dir,
};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Row, SqliteConnection};
use uuid::Uuid;

use super::super::{schema, select, statements::Statements};
use crate::{Condition, OrderValue, Select, Words, conformance::models};

/// The marketplace's events, as the tests of read models describe them.
#[path = "../../../../read-model/tests/read_models/catalog.rs"]
#[allow(dead_code, reason = "read models need its types alone here")]
mod catalog;

/// What no index can answer by seeking alone, and why.
const UNAVOIDABLE: &[(&str, Way, &str)] = &[
    (
        "seller_ratings.best",
        Way::Walks,
        "it asks for everything, the best first; an index answers equalities and then one order, \
         so `reviews` is looked at on the way",
    ),
    (
        "products.search",
        Way::Sorts,
        "the newest of a range of prices: an index answers one range or one order; only the rows \
         of a page are kept while the range is read",
    ),
];

/// How a statement comes to its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// It seeks where its rows begin, and reads them in order. Words, and filters that were left
    /// open in the definition, are looked at on the way.
    Seeks,
    /// It reads from the front of an index, in order.
    Walks,
    /// It seeks, and sorts what it has found.
    Sorts,
    /// It reads everything.
    Scans,
}

impl Way {
    fn of(plan: &str) -> Self {
        let sorts = plan.contains("TEMP B-TREE");
        if plan.contains("; SCAN") {
            Self::Scans
        } else if plan.starts_with("SEARCH rows USING ") {
            if sorts { Self::Sorts } else { Self::Seeks }
        } else if plan.starts_with("SCAN rows USING INDEX ") && !sorts {
            Self::Walks
        } else {
            Self::Scans
        }
    }
}

/// Makes the tables and indexes of a model in memory.
async fn in_memory(model: &Model) -> SqliteConnection {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .connect()
        .await
        .unwrap();
    let mut script = schema::tables(model);
    for index in schema::indexes(model) {
        script.push_str(&format!("{index};\n"));
    }
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

fn value(model: &Model, column: usize) -> Value {
    match model.columns[column].column_type {
        ColumnType::Uuid => Value::Uuid(Uuid::nil()),
        ColumnType::Text => Value::Text("x".into()),
        _ => Value::Bigint(1),
    }
}

/// Every way in which a query can be asked: with and without each optional filter, by its owner
/// or not, with and without words, in each order, on a first page and after a row.
fn asked(model: &Model, query: &Query) -> Vec<Select> {
    let optional: Vec<_> = query.filters.iter().filter(|it| it.optional).collect();
    let mut selects = Vec::new();
    for given in 0..1_usize << optional.len() {
        let given = optional
            .iter()
            .enumerate()
            .filter(|(place, _)| given >> place & 1 == 1);
        let given: Vec<_> = given.map(|(_, filter)| *filter).collect();
        for owner in [false, true] {
            let user = model.user_column.filter(|_| owner);
            if owner && (query.access != Access::Owner || user.is_none()) {
                continue;
            }
            for words in [false, true] {
                if words && query.text.is_empty() {
                    continue;
                }
                let conditions = conditions(model, query, &given, user);
                for order in &query.orders {
                    selects.extend(pages(model, query, order, &conditions, words));
                }
            }
        }
    }
    selects
}

fn conditions(
    model: &Model,
    query: &Query,
    given: &[&Filter],
    user: Option<usize>,
) -> Vec<Condition> {
    let required = query.filters.iter().filter(|filter| !filter.optional);
    let mut conditions = Vec::new();
    for filter in required.chain(given.iter().copied()) {
        let (column, value) = (filter.column, value(model, filter.column));
        match filter.kind {
            FilterKind::Eq => conditions.push(Condition::Eq(column, value)),
            FilterKind::Range => {
                conditions.push(Condition::AtLeast(column, value.clone()));
                conditions.push(Condition::AtMost(column, value));
            }
        }
    }
    let only = query.only.iter().cloned();
    conditions.extend(only.map(|(column, value)| Condition::Eq(column, value)));
    conditions.extend(user.map(|column| Condition::Eq(column, value(model, column))));
    conditions
}

fn pages(
    model: &Model,
    query: &Query,
    order: &Order,
    conditions: &[Condition],
    words: bool,
) -> [Select; 2] {
    let after = order.terms.iter().map(|term| match term.field {
        Field::Column(column) => OrderValue::Column(value(model, column)),
        Field::Derived(_) => OrderValue::Derived(Some(0.5)),
    });
    [None, Some(after.collect())].map(|after| Select {
        conditions: conditions.to_vec(),
        words: words.then(|| Words {
            columns: query.text.clone(),
            words: vec!["x".into()],
        }),
        order: order.terms.clone(),
        after,
        limit: 10,
        present_only: true,
        fresh: false,
    })
}

/// The plans of the statements of a selection, each with its text.
async fn plans(
    model: &Model,
    connection: &mut SqliteConnection,
    select: &Select,
) -> Vec<(String, String)> {
    let mut plans = Vec::new();
    for mut stretch in select::stretches(model, select, "*").unwrap() {
        stretch.arguments.add(10_i64).unwrap();
        let text = stretch.sql.clone();
        let explained = format!("EXPLAIN QUERY PLAN {}", stretch.sql);
        let steps = sqlx::query_with(AssertSqlSafe(explained), stretch.arguments)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let steps: Vec<String> = steps.iter().map(|step| step.get(3)).collect();
        plans.push((steps.join("; "), text));
    }
    plans
}

/// The ways in which a model's queries come to their rows, each with an example.
async fn ways(model: &Model) -> BTreeMap<(String, Way), String> {
    let mut connection = in_memory(model).await;
    let mut ways = BTreeMap::new();
    for query in &model.queries {
        let name = format!("{}.{}", model.name, query.name);
        for select in asked(model, query) {
            for (plan, text) in plans(model, &mut connection, &select).await {
                let way = (name.clone(), Way::of(&plan));
                ways.entry(way).or_insert(format!("{plan}\n{text}"));
            }
        }
    }
    ways
}

#[tokio::test]
async fn every_declared_query_of_every_read_model_seeks() {
    let projections = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../projections");
    let known = load_dir(&projections, &catalog::catalog());
    let known = known.unwrap_or_else(|errors| panic!("{errors}"));
    let mut seen = BTreeMap::new();
    for model in &known {
        seen.extend(ways(model).await);
    }
    let declared: usize = known.iter().map(|model| model.queries.len()).sum();
    let seeking = seen.keys().filter(|(_, way)| *way == Way::Seeks).count();
    assert_eq!(seeking, declared, "each seeks where it can: {seen:#?}");
    for (query, way, why) in UNAVOIDABLE {
        let seen = seen.remove(&(query.to_string(), *way));
        seen.unwrap_or_else(|| panic!("{query} can do better by now than this: {why}"));
    }
    seen.retain(|(_, way), _| *way != Way::Seeks);
    assert!(seen.is_empty(), "no index answers these:\n{seen:#?}");
}

#[tokio::test]
async fn queries_of_other_shapes_read_an_index_in_its_order() {
    let shapes = [models::orders("a"), models::sales("b"), models::things("c")];
    for model in shapes {
        for ((query, way), example) in ways(&model).await {
            // Two of them leave everything open on their first page.
            let open = ["b.best", "c.search"].contains(&query.as_str());
            let good = way == Way::Seeks || open && way == Way::Walks;
            assert!(good, "{query}: {way:?}\n{example}");
        }
    }
}

#[tokio::test]
async fn reading_by_key_seeks() {
    for model in [models::orders("a"), models::things("c")] {
        let mut connection = in_memory(&model).await;
        let mut statements = Statements::new(&model);
        for statement in [&mut statements.read, &mut statements.delete] {
            let explained = format!("EXPLAIN QUERY PLAN {}", statement.text(4));
            let plan = sqlx::query(AssertSqlSafe(explained))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let first: String = plan[0].get(3);
            assert!(
                first.starts_with("SEARCH rows USING PRIMARY KEY"),
                "{first}"
            );
        }
    }
}
