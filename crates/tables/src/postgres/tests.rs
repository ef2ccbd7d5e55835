//! The suite of the port on Postgres, and what is Postgres' own.

mod faults;
mod ground;
mod proxy;

use std::sync::Arc;

use foldline_kernel::LogId;
use uuid::Uuid;

use self::ground::{Ground, url};
use super::Postgres;
use crate::{
    PostgresSettings, TableError, Tables,
    conformance::{Stores, models},
};

async fn open() -> (Stores, Ground) {
    let ground = Ground::new();
    let first = Arc::new(Postgres::open(ground.settings()).await.unwrap());
    let second = Arc::new(Postgres::open(ground.settings()).await.unwrap());
    (Stores { first, second }, ground)
}

mod suite {
    crate::tables_conformance!(super::open);
}

const LOG: LogId = LogId(Uuid::nil());

#[tokio::test]
async fn several_processes_may_set_up_a_schema_at_once() {
    let ground = Ground::new();
    let opening = (0..8).map(|_| Postgres::open(ground.settings()));
    for opened in futures::future::join_all(opening).await {
        opened.unwrap().generations("any").await.unwrap();
    }
}

#[tokio::test]
async fn a_newer_version_is_told_and_left_alone() {
    let ground = Ground::new();
    Postgres::open(ground.settings()).await.unwrap();
    let newer = format!("INSERT INTO {}.migrations VALUES (99)", ground.schema);
    ground.run(&newer).await;
    match Postgres::open(ground.settings()).await.unwrap_err() {
        TableError::Corrupt { trouble, .. } => assert!(trouble.contains("version 99"), "{trouble}"),
        other => panic!("{other:?}"),
    }
}

/// The settings of a login that may do nothing yet.
async fn of_a_new_login(ground: &Ground, suffix: &str) -> (String, PostgresSettings) {
    let login = format!("{}_{suffix}", ground.schema);
    ground.run(&format!("CREATE ROLE {login} LOGIN")).await;
    let url = url().replacen("postgres@", &format!("{login}@"), 1);
    let settings = PostgresSettings {
        url: Some(url),
        ..ground.settings()
    };
    (login, settings)
}

#[tokio::test]
async fn a_role_that_may_not_is_told_what_to_run_and_that_is_enough() {
    let ground = Ground::new();
    let (login, settings) = of_a_new_login(&ground, "w").await;
    let trouble = match Postgres::open(settings.clone()).await.unwrap_err() {
        TableError::Corrupt { trouble, .. } => trouble,
        other => panic!("{other:?}"),
    };
    let (_, statements) = trouble.split_once("WRITER:\n").unwrap();
    ground.run(&statements.replace("WRITER", &login)).await;
    let store = Postgres::open(settings).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    let reader = store.reader(&model, number).await.unwrap();
    assert_eq!(reader.count().await.unwrap(), 0);
    drop((reader, store));
    let clear = format!("DROP SCHEMA {} CASCADE; DROP ROLE {login}", ground.schema);
    ground.run(&clear).await;
}

#[tokio::test]
async fn who_reads_can_only_select() {
    let ground = Ground::new();
    let store = Postgres::open(ground.settings()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    let (login, mut settings) = of_a_new_login(&ground, "r").await;
    ground
        .run(&format!("GRANT {0}_reader TO {login}", ground.schema))
        .await;
    settings.reader_url = settings.url.take();
    let apart = Postgres::open(settings).await.unwrap();
    apart
        .reader(&model, number)
        .await
        .unwrap()
        .count()
        .await
        .unwrap();
    let refused = apart.create(&model, LOG).await.unwrap_err();
    assert!(refused.to_string().contains("only to read"), "{refused}");
    for readers in [&store.connections.readers, &apart.connections.readers] {
        for (statement, code) in [
            ("DELETE FROM {}.generations", "25006"),
            ("BEGIN READ WRITE; DELETE FROM {}.generations", "42501"),
            ("BEGIN READ WRITE; DELETE FROM {}.sales_g1", "42501"),
        ] {
            let statement = sqlx::AssertSqlSafe(statement.replace("{}", &ground.schema));
            // It ends with the failed transaction that is in it.
            let mut connection = readers.acquire().await.unwrap().detach();
            let ran = sqlx::raw_sql(statement).execute(&mut connection).await;
            let error = ran.unwrap_err();
            assert_eq!(
                super::trouble::code(&error).as_deref(),
                Some(code),
                "{error}"
            );
        }
    }
    drop((store, apart));
    ground.run(&format!("DROP ROLE {login}")).await;
}

#[tokio::test]
async fn a_table_that_is_gone_is_told_with_a_way_out() {
    let ground = Ground::new();
    let store = Postgres::open(ground.settings()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    let reader = store.reader(&model, number).await.unwrap();
    ground
        .run(&format!("DROP TABLE {}.sales_g1", ground.schema))
        .await;
    let told = |error: TableError| match error {
        TableError::Corrupt { trouble, .. } => assert!(trouble.contains("replay"), "{trouble}"),
        other => panic!("{other:?}"),
    };
    told(reader.count().await.unwrap_err());
    told(store.writer(&model, number).await.err().unwrap());
    store.retire("sales", number).await.unwrap();
    let gone = store.writer(&model, number).await.err().unwrap();
    assert!(matches!(gone, TableError::NoGeneration { .. }), "{gone:?}");
}

#[tokio::test]
async fn a_table_that_is_read_while_it_is_retired_goes_with_the_next_generation() {
    let ground = Ground::new();
    let store = Postgres::open(ground.settings()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    let reader = store.reader(&model, number).await.unwrap();
    let mut snapshot = reader.snapshot().await.unwrap();
    snapshot.next_rows(10).await.unwrap();
    store.retire("sales", number).await.unwrap();
    assert!(
        snapshot.next_rows(10).await.unwrap().is_empty(),
        "it goes on reading"
    );
    drop(snapshot);
    store.create(&model, LOG).await.unwrap();
    let there = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'sales%'";
    let there: i64 = sqlx::query_scalar(there)
        .bind(&ground.schema)
        .fetch_one(store.connections.looks())
        .await
        .unwrap();
    assert_eq!(there, 1);
}
