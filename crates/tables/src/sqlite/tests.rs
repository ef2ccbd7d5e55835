//! The suite of the port on SQLite, and what is SQLite's own.

mod plans;

use std::sync::Arc;

use foldline_kernel::{LaneSequence, LogId};
use sqlx::ConnectOptions;
use uuid::Uuid;

use super::{
    Sqlite,
    files::{self, For},
};
use crate::{
    Batch, GenerationNumber, TableError, Tables,
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
async fn a_switch_does_not_wait_for_a_long_reader() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    let mut writer = store.writer(&model, number).await.unwrap();
    let commit = |from: u64, to: u64| {
        let mut at = foldline_kernel::Checkpoint::beginning(LOG, foldline_kernel::Lane(0));
        at.lane_sequence = LaneSequence(to);
        Batch {
            checkpoints: vec![(LaneSequence(from), at)],
            ..Batch::default()
        }
    };
    writer.commit(&commit(0, 1)).await.unwrap();
    let reader = store.reader(&model, number).await.unwrap();
    let snapshot = reader.snapshot().await.unwrap();
    writer.commit(&commit(1, 2)).await.unwrap();
    let begun = std::time::Instant::now();
    store.switch("sales", None, number).await.unwrap();
    let took = begun.elapsed();
    assert!(took < super::SWITCH_WAIT_MAX * 8, "{took:?}");
    drop(snapshot);
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let model = models::sales("sales");
    let number = store.create(&model, LOG).await.unwrap().number;
    files::remove(&files::generation(dir.path(), "sales", number)).unwrap();
    match store.writer(&model, number).await.err().unwrap() {
        TableError::Corrupt { trouble, .. } => assert!(trouble.contains("replay"), "{trouble}"),
        other => panic!("{other:?}"),
    }
    store.retire("sales", number).await.unwrap();
    let gone = store.writer(&model, number).await.err().unwrap();
    assert!(matches!(gone, TableError::NoGeneration { .. }), "{gone:?}");
}

#[tokio::test]
async fn queries_that_change_get_their_indexes_beside_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).await.unwrap();
    let mut without = models::sales("sales");
    Arc::get_mut(&mut without).unwrap().queries.clear();
    let number = store.create(&without, LOG).await.unwrap().number;
    store.switch("sales", None, number).await.unwrap();
    let path = files::generation(dir.path(), "sales", number);
    let mut connection = files::options(&path, For::Reading).connect().await.unwrap();
    let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE 'by %'";
    let mut indexes = async || -> i64 {
        let counted = sqlx::query_scalar(count).fetch_one(&mut connection).await;
        counted.unwrap()
    };
    assert_eq!(indexes().await, 0);
    let with = models::sales("sales");
    let mut writer = store.writer(&with, number).await.unwrap();
    for _ in 0..2 {
        writer.index().await.unwrap();
        assert_eq!(indexes().await, 2);
    }
}
