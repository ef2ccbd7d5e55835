//! Connections that break, at any byte, and what is committed nevertheless.

use std::sync::Arc;

use foldline_kernel::{Checkpoint, Lane, LaneSequence, LogId};
use foldline_read_model::{Change, RowKey, RowValues, Value};
use rand_like::Dice;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::{
    super::Postgres,
    ground::{Ground, url},
    proxy::Proxy,
};
use crate::{
    Batch, CommitError, GenerationNumber, PostgresSettings, TableError, TableWriter, Tables,
    conformance::models,
};

/// Numbers that are the same in every run.
mod rand_like {
    pub(super) struct Dice(pub(super) u64);

    impl Dice {
        pub(super) fn below(&mut self, end: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % end
        }
    }
}

const LOG: LogId = LogId(Uuid::nil());

/// The same settings over another way to the server.
async fn through(ground: &Ground) -> (Proxy, PostgresSettings) {
    let direct = url();
    let (login, place) = direct
        .split_once("://")
        .unwrap()
        .1
        .rsplit_once('@')
        .unwrap();
    let (address, database) = place.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let proxy = Proxy::to((host.to_owned(), port.parse().unwrap())).await;
    let url = format!("postgres://{login}@127.0.0.1:{}/{database}", proxy.port);
    let settings = PostgresSettings {
        url: Some(url),
        ..ground.settings()
    };
    (proxy, settings)
}

fn sale(seller: u64, at: u64) -> (RowKey, Change) {
    let model = models::sales("any");
    let mut change = Change::upsert(LaneSequence(at));
    change.touch(&model, 2, Value::Bigint(1));
    change.touch(&model, 3, Value::Bigint(i64::try_from(at).unwrap()));
    let key = [
        Value::Uuid(Uuid::from_u128(u128::from(seller))),
        Value::Text("m".into()),
    ];
    (key.into_iter().collect(), change)
}

fn batch(from: u64, rows: u64) -> Batch {
    let mut at = Checkpoint::beginning(LOG, Lane(0));
    at.lane_sequence = LaneSequence(from + rows);
    Batch {
        checkpoints: vec![(LaneSequence(from), at)],
        rows: (0..rows).map(|row| sale(row, from + row + 1)).collect(),
        ..Batch::default()
    }
}

async fn seen(writer: &mut dyn TableWriter) -> Result<u64, TableError> {
    let absorbed = writer.absorbed().await?;
    Ok(absorbed.lane(Lane(0)).map_or(0, |at| at.lane_sequence.0))
}

/// Reads all rows over a way that is not cut.
async fn rows(
    ground: &Ground,
    model: &Arc<foldline_read_model::Model>,
    number: GenerationNumber,
) -> Vec<(RowKey, RowValues)> {
    let store = Postgres::open(ground.settings()).await.unwrap();
    let reader = store.reader(model, number).await.unwrap();
    let mut snapshot = reader.snapshot().await.unwrap();
    snapshot.next_rows(100_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_anywhere_lose_and_double_nothing() {
    let ground = Ground::new();
    let (proxy, settings) = through(&ground).await;
    let store = Postgres::open(settings).await.unwrap();
    let model = models::sales("cut");
    let number = store.create(&model, LOG).await.unwrap().number;
    let mut dice = Dice(7);
    let mut expected = std::collections::BTreeMap::new();
    let (mut at, mut unknown, mut broken) = (0, 0, 0);
    let mut writer = store.writer(&model, number).await.unwrap();
    for _ in 0..150 {
        let size = 1 + dice.below(150);
        let batch = batch(at, size);
        if dice.below(3) > 0 {
            proxy.cut_after(i64::try_from(dice.below(30_000)).unwrap());
        }
        let before = at;
        match writer.commit(&batch).await {
            Ok(()) => at += size,
            Err(error) => {
                match error {
                    CommitError::Unknown { .. } => unknown += 1,
                    CommitError::Unavailable { .. } => broken += 1,
                    other => panic!("{other:?}"),
                }
                proxy.cut();
                // A commit that was under way is settled once its head can be held.
                writer = store.writer(&model, number).await.unwrap();
                at = loop {
                    match writer.hold().await {
                        Ok(_) => {
                            break seen(&mut *store.writer(&model, number).await.unwrap())
                                .await
                                .unwrap();
                        }
                        Err(TableError::Unavailable { .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                };
                writer = store.writer(&model, number).await.unwrap();
            }
        }
        assert!(at == before || at == before + size, "all or nothing");
        if at > before {
            for (key, change) in batch.rows {
                let row = change.apply(&model, expected.remove(&key)).unwrap();
                expected.insert(key, row.unwrap());
            }
        }
    }
    proxy.cut_after(-1);
    assert!(
        broken > 10,
        "{broken} broke, {unknown} unknown, {} connections",
        proxy.connections()
    );
    let found: std::collections::BTreeMap<_, _> =
        rows(&ground, &model, number).await.into_iter().collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_after_every_connection_was_lost() {
    let ground = Ground::new();
    let (proxy, settings) = through(&ground).await;
    // More connections than a read is tried again.
    let readers_max = 12;
    let store = Postgres::open(PostgresSettings {
        readers_max,
        ..settings
    });
    let store = store.await.unwrap();
    let model = models::sales("read");
    let number = store.create(&model, LOG).await.unwrap().number;
    let mut writer = store.writer(&model, number).await.unwrap();
    writer.commit(&batch(0, 10)).await.unwrap();
    let reader = store.reader(&model, number).await.unwrap();
    for _ in 0..20 {
        let pool = &store.connections.readers;
        let lent = (0..readers_max).map(|_| pool.acquire());
        let lent = futures::future::join_all(lent).await;
        for connection in lent {
            connection.unwrap().return_to_pool().await;
        }
        assert_eq!(pool.num_idle(), readers_max as usize);
        proxy.cut();
        assert_eq!(reader.count().await.unwrap(), 10);
        assert_eq!(reader.absorbed().await.unwrap().checkpoints.len(), 1);
        assert_eq!(store.generations("read").await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_every_session_is_found_again() {
    let ground = Ground::new();
    let writes = format!("{}_w", ground.schema);
    ground
        .run(&format!(
            "CREATE ROLE {writes} LOGIN; CREATE ROLE {0}_reader NOLOGIN; GRANT {0}_reader TO {writes};
             CREATE SCHEMA {0} AUTHORIZATION {writes}",
            ground.schema
        ))
        .await;
    let url = url().replacen("postgres@", &format!("{writes}@"), 1);
    let settings = PostgresSettings {
        url: Some(url),
        ..ground.settings()
    };
    let store = Postgres::open(settings).await.unwrap();
    let model = models::sales("ended");
    let number = store.create(&model, LOG).await.unwrap().number;
    let mut writer = store.writer(&model, number).await.unwrap();
    let reader = store.reader(&model, number).await.unwrap();
    let (mut at, mut tries, mut ended) = (0, 0, None);
    while at < 50 {
        if at % 10 == 0 && ended.replace(at) != Some(at) {
            let end = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{writes}'"
            );
            ground.run(&end).await;
        }
        tries += 1;
        assert!(tries < 500, "it does not come back: {at}");
        match writer.commit(&batch(at, 5)).await {
            Ok(()) => at += 5,
            Err(CommitError::Unavailable { .. } | CommitError::Unknown { .. }) => {
                writer = store.writer(&model, number).await.unwrap();
                at = seen(&mut *writer).await.unwrap();
            }
            Err(other) => panic!("{other:?}"),
        }
        let absorbed = reader.absorbed().await.unwrap();
        assert_eq!(
            absorbed.lane(Lane(0)).map_or(0, |at| at.lane_sequence.0),
            at
        );
    }
    drop((writer, reader, store));
    ground
        .run(&format!(
            "DROP SCHEMA {} CASCADE; DROP ROLE {writes}",
            ground.schema
        ))
        .await;
}

#[tokio::test]
async fn a_commit_that_the_server_gave_up_is_tried_again() {
    let ground = Ground::new();
    let store = Postgres::open(ground.settings()).await.unwrap();
    let model = models::sales("crossed");
    let number = store.create(&model, LOG).await.unwrap().number;
    let mut writer = store.writer(&model, number).await.unwrap();
    writer.commit(&batch(0, 5)).await.unwrap();
    let schema = &ground.schema;
    let mut other = PgConnection::connect(&url()).await.unwrap();
    let run = |sql: String| sqlx::raw_sql(AssertSqlSafe(sql));
    let checkpoints = format!("BEGIN; SELECT 1 FROM {schema}.checkpoints FOR UPDATE");
    run(checkpoints).execute(&mut other).await.unwrap();
    let next = batch(5, 5);
    // The writer has the head and waits for the checkpoint; the other one the other way round.
    let crossing = async {
        let waits = format!(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
              WHERE wait_event_type = 'Lock' AND query LIKE '%{schema}%')"
        );
        for _ in 0..10_000 {
            let waits = sqlx::query_scalar(AssertSqlSafe(waits.as_str()));
            if waits.fetch_one(&mut other).await.unwrap() {
                break;
            }
        }
        let head = format!("SELECT 1 FROM {schema}.heads FOR UPDATE; ROLLBACK");
        run(head).execute(&mut other).await.unwrap();
    };
    let (committed, ()) = futures::future::join(writer.commit(&next), crossing).await;
    committed.unwrap();
    assert_eq!(seen(&mut *writer).await.unwrap(), 10);
}
