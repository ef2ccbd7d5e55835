//! The laws, on a real broker.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_event_log::{
    EventLog, Source,
    conformance::{Damage, Harness, Site},
};
use foldline_kernel::Context;

use crate::{ground::Ground, raw};

struct OnBroker;

impl Harness for OnBroker {
    fn site(&self) -> Box<dyn Site> {
        Box::new(OnTopics(Ground::new()))
    }
}

struct OnTopics(Ground);

#[async_trait]
impl Site for OnTopics {
    async fn open(&self, contexts: &[Context]) -> Result<Arc<dyn EventLog>, Source> {
        Ok(self.0.open(contexts).await?)
    }

    async fn damage(&self, damage: Damage) -> bool {
        let prefix = self.0.prefix.clone();
        tokio::task::spawn_blocking(move || raw::damage(&prefix, damage))
            .await
            .unwrap();
        true
    }
}

foldline_event_log::event_log_laws!(OnBroker);
