//! The laws on a real Postgres: any batching, faults and restarts.

use std::sync::Arc;

use foldline_tables::{Postgres, PostgresSettings};
use proptest::prelude::*;

use crate::{
    log::MemoryLog,
    node::{Node, assert_exact},
    property::{RUNTIME, fact, lives_through, settings, step},
    store::Store,
    world::{NAMES, SHOPS, WALLET, model},
};

/// A schema of its own, and the sessions that are in it.
struct Schema(PostgresSettings);

impl Schema {
    async fn new() -> (Self, Store) {
        let url = std::env::var("FOLDLINE_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "FOLDLINE_TEST_POSTGRES does not say where Postgres is; start one with \
                 `cargo xtask services up postgres`, which says what to set"
            )
        });
        let settings = PostgresSettings {
            schema: format!("test_{}", uuid::Uuid::new_v4().simple()),
            readers_max: 4,
            ..PostgresSettings::new(url)
        };
        let schema = Self(settings);
        let store = schema.open().await;
        (schema, store)
    }

    /// The same tables, as another process opens them.
    async fn open(&self) -> Store {
        Store::of(Arc::new(Postgres::open(self.0.clone()).await.unwrap()))
    }

    async fn dropped(self, store: Store) {
        drop(store);
        let tables = Postgres::open(self.0).await.unwrap();
        tables.drop_schema().await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn any_life_comes_to_the_plain_fold_on_postgres(
        steps in proptest::collection::vec(step(), 1..25),
        settings in settings(),
    ) {
        RUNTIME.block_on(async {
            let (schema, store) = Schema::new().await;
            // Commits fail of themselves where two processes commit; other faults are the registry's.
            lives_through(steps, settings, store.clone(), |_| {}).await;
            schema.dropped(store).await;
        });
    }

    #[test]
    fn any_batching_comes_to_the_plain_fold_on_postgres(
        facts in proptest::collection::vec(fact(), 1..150),
        settings in settings(),
    ) {
        RUNTIME.block_on(async {
            let (log, (schema, store)) = (MemoryLog::new(), Schema::new().await);
            let models = [model(WALLET), model(NAMES), model(SHOPS)];
            let node = Node::start(log.clone(), &store, &models, settings);
            for some in facts.chunks(17) {
                log.append(some);
                tokio::task::yield_now().await;
            }
            for model in &models {
                node.caught_up(model).await;
                assert_exact(&log, &store, model).await;
                node.replay(model).await;
                node.caught_up(model).await;
                assert_exact(&log, &store, model).await;
            }
            node.stop().await;
            schema.dropped(store).await;
        });
    }
}
