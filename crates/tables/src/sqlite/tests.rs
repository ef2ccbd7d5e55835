//! The suite of the port on SQLite, and what is SQLite's own.

use std::sync::Arc;

use foldline_kernel::LogId;
use foldline_read_model::{FilterKind, Model, Query, Value};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Row, SqliteConnection};
use uuid::Uuid;

use super::{
    Sqlite,
    files::{self, For},
    schema, select,
};
use crate::{
    Condition, GenerationNumber, OrderValue, Select, TableError, Tables,
    conformance::{Stores, models},
};

async fn open() -> (Stores, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let first = Arc::new(Sqlite::open(dir.path()).await.unwrap());
    let second = Arc::new(Sqlite::open(dir.path()).await.unwrap());
    (Stores { first, second }, dir)
}

mod suite {
    crate::tables_conformance!(super::open);
}

const LOG: LogId = LogId(Uuid::nil());

/// Every way in which a query can be asked with no optional filter, on a first page and after a row.
fn asked(model: &Model, query: &Query) -> Vec<Select> {
    let value = |column: usize| match model.columns[column].column_type {
        foldline_read_model::ColumnType::Uuid => Value::Uuid(Uuid::nil()),
        foldline_read_model::ColumnType::Text => Value::Text("x".into()),
        _ => Value::Bigint(1),
    };
    let required = query.filters.iter().filter(|filter| !filter.optional);
    let mut conditions: Vec<_> = required
        .map(|filter| match filter.kind {
            FilterKind::Eq => Condition::Eq(filter.column, value(filter.column)),
            FilterKind::Range => Condition::AtLeast(filter.column, value(filter.column)),
        })
        .collect();
    let only = query.only.iter().cloned();
    conditions.extend(only.map(|(column, value)| Condition::Eq(column, value)));
    let mut selects = Vec::new();
    for order in &query.orders {
        let after = order.terms.iter().map(|term| match term.field {
            foldline_read_model::Field::Column(column) => OrderValue::Column(value(column)),
            foldline_read_model::Field::Derived(_) => OrderValue::Derived(Some(0.5)),
        });
        for after in [None, Some(after.collect())] {
            selects.push(Select {
                conditions: conditions.clone(),
                words: None,
                order: order.terms.clone(),
                after,
                limit: 10,
                present_only: true,
            });
        }
    }
    selects
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

#[tokio::test]
async fn declared_queries_read_an_index_in_its_order_and_nothing_else() {
    for model in [models::orders("a"), models::sales("b"), models::things("c")] {
        let mut connection = in_memory(&model).await;
        for query in &model.queries {
            for select in asked(&model, query) {
                let fixed = !select.conditions.is_empty() || select.after.is_some();
                for mut stretch in select::stretches(&model, &select, "*").unwrap() {
                    stretch.arguments.add(10_i64).unwrap();
                    let explained = format!("EXPLAIN QUERY PLAN {}", stretch.sql);
                    let plan: Vec<String> =
                        sqlx::query_with(AssertSqlSafe(explained), stretch.arguments)
                            .fetch_all(&mut connection)
                            .await
                            .unwrap()
                            .iter()
                            .map(|row| row.get(3))
                            .collect();
                    let plan = plan.join("; ");
                    let sorts = plan.contains("TEMP B-TREE");
                    let scans = plan.contains("SCAN") && (fixed || !plan.contains("INDEX"));
                    assert!(!sorts && !scans, "{}: {plan}\n{}", query.name, stretch.sql);
                }
            }
        }
    }
}

#[tokio::test]
async fn reading_by_key_seeks() {
    for model in [models::orders("a"), models::things("c")] {
        let mut connection = in_memory(&model).await;
        let mut statements = super::statements::Statements::new(&model);
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

#[tokio::test]
async fn several_processes_may_open_a_new_directory_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/there/yet");
    let opening = (0..8).map(|_| Sqlite::open(&path));
    for opened in futures::future::join_all(opening).await {
        opened.unwrap().generations("any").await.unwrap();
    }
}

#[tokio::test]
async fn another_format_is_told_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    for path in [
        files::generation(dir.path(), "sales", number),
        files::registry(dir.path()),
    ] {
        let options = files::options(&path, For::Writing);
        let mut connection = options.connect().await.unwrap();
        sqlx::query("PRAGMA user_version = 99")
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let told = |error: TableError| match error {
        TableError::Corrupt { trouble, .. } => assert!(trouble.contains("format 99"), "{trouble}"),
        other => panic!("{other:?}"),
    };
    told(store.reader(&model, number).await.err().unwrap());
    told(store.writer(&model, number).await.err().unwrap());
    told(Sqlite::open(dir.path()).await.unwrap_err());
}

#[tokio::test]
async fn a_damaged_file_is_told_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    let path = files::generation(dir.path(), "sales", number);
    std::fs::write(&path, "not what it was").unwrap();
    match store.reader(&model, number).await.err().unwrap() {
        TableError::Corrupt { operation, trouble } => {
            assert!(operation.contains("sales g1"), "{operation}");
            assert!(trouble.contains("replay"), "{trouble}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_crash_left_over_is_swept_by_the_next_generation() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let model = models::sales("sales");
    store.create(&model, LOG).await.unwrap();
    let left_over = files::generation(dir.path(), "sales", GenerationNumber(2));
    let of_another = files::generation(dir.path(), "sales-g2", GenerationNumber(2));
    std::fs::write(&left_over, "half a table").unwrap();
    std::fs::write(&of_another, "").unwrap();
    let made = store.create(&model, LOG).await.unwrap();
    assert_eq!(made.number, GenerationNumber(2));
    store.reader(&model, made.number).await.unwrap();
    assert!(of_another.exists());
    store.retire("sales", made.number).await.unwrap();
    assert!(!left_over.exists());
}

#[tokio::test]
async fn queries_that_change_get_their_indexes_beside_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let mut without = models::sales("sales");
    Arc::get_mut(&mut without).unwrap().queries.clear();
    let number = store.create(&without, LOG).await.unwrap().number;
    store.switch("sales", number).await.unwrap();
    let path = files::generation(dir.path(), "sales", number);
    let mut connection = files::options(&path, For::Reading).connect().await.unwrap();
    let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE 'by %'";
    let mut indexes = async || -> i64 {
        let counted = sqlx::query_scalar(count).fetch_one(&mut connection).await;
        counted.unwrap()
    };
    assert_eq!(indexes().await, 0);
    let with = models::sales("sales");
    store.writer(&with, number).await.unwrap();
    assert_eq!(indexes().await, 2);
}
