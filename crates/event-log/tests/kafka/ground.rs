//! A log of its own for each test, on a broker that is there.

use std::{sync::Arc, time::Duration};

use foldline_event_log::kafka::{KafkaLog, OpenError, Settings};
use foldline_kernel::Context;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use uuid::Uuid;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the address of the broker that tests use.
pub(crate) fn brokers() -> String {
    std::env::var("FOLDLINE_TEST_KAFKA").unwrap_or_else(|_| {
        panic!(
            "FOLDLINE_TEST_KAFKA does not say where Kafka is; \
             start one with `cargo xtask services up kafka`, which says what to set"
        )
    })
}

/// A topic prefix that nobody else has; its topics go with it.
pub(crate) struct Ground {
    pub(crate) prefix: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self {
            prefix: format!("test-{}.", Uuid::new_v4().simple()),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            topic_prefix: self.prefix.clone(),
            lanes: foldline_event_log::conformance::LANES,
            ..Settings::new("market".parse().unwrap(), brokers())
        }
    }

    pub(crate) async fn open(&self, contexts: &[Context]) -> Result<Arc<KafkaLog>, OpenError> {
        KafkaLog::open(self.settings(), contexts.to_vec()).await
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let prefix = self.prefix.clone();
        let clearing = std::thread::spawn(move || {
            let admin = admin();
            let topics = topics(&admin, &prefix);
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let _ = runtime.block_on(admin.delete_topics(&names, &AdminOptions::new()));
        });
        let _ = clearing.join();
    }
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

pub(crate) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

/// Returns the topics there are with a prefix.
pub(crate) fn topics(admin: &AdminClient<DefaultClientContext>, prefix: &str) -> Vec<String> {
    let metadata = admin.inner().fetch_metadata(None, TIMEOUT).unwrap();
    let names = metadata.topics().iter().map(|topic| topic.name());
    names
        .filter(|name| name.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}
