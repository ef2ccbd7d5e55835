//! A keyspace of its own for each test, on a cluster that is there.

use std::sync::Arc;

use crate::{Cql, conformance::Stores, cql::Settings};

/// A keyspace that nobody else has; it goes with this.
pub(crate) struct Ground {
    pub(crate) settings: Settings,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let node = std::env::var("FOLDLINE_TEST_CASSANDRA").unwrap_or_else(|_| {
            panic!(
                "FOLDLINE_TEST_CASSANDRA does not say where Cassandra is; start one with \
                 `cargo xtask services up cassandra`, which says what to set"
            )
        });
        let keyspace = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut settings = Settings::new(vec![node], keyspace);
        settings.replicas = 1;
        Self { settings }
    }

    pub(crate) async fn open(&self) -> Cql {
        Cql::open(&self.settings).await.expect("a cluster")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let settings = self.settings.clone();
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let cql = Cql::open(&settings).await?;
                cql.drop_keyspace().await
            })
        });
        let _ = clearing.join();
    }
}

/// One keyspace, opened twice.
pub(crate) async fn stores() -> (Stores, Ground) {
    let ground = Ground::new();
    let stores = Stores {
        first: Arc::new(ground.open().await),
        second: Arc::new(ground.open().await),
    };
    (stores, ground)
}
