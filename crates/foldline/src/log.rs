//! The log of a node, wherever it is kept.

use std::sync::Arc;

use anyhow::Context as _;
use foldline_event_log::{Embedded, EventLog, LaneSpread, SnapshotStore, kafka::KafkaLog};
use foldline_kernel::Context;

use crate::configuration::Configuration;

/// A log, with what only one kind of it has.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) events: Arc<dyn EventLog>,
    /// Where the command side's snapshots are kept.
    pub(crate) snapshots: Option<Arc<dyn SnapshotStore>>,
    /// Shares the lanes out, where several nodes can have the log open.
    pub(crate) spread: Option<Arc<dyn LaneSpread>>,
    embedded: Option<Arc<Embedded>>,
}

impl Log {
    /// Opens the log that the configuration names.
    ///
    /// # Errors
    /// When it cannot be opened; each says what to do about it.
    pub(crate) async fn open(
        configuration: &Configuration,
        name: Context,
        contexts: Vec<Context>,
    ) -> anyhow::Result<Self> {
        let log = match &configuration.log.kafka {
            None => Self::embedded(configuration, name, contexts)?,
            Some(kafka) => {
                let settings = configuration.log.kafka(kafka, name);
                let log = KafkaLog::open(settings, contexts).await.with_context(|| {
                    format!("cannot open the log on Kafka at {}", kafka.brokers)
                })?;
                Self {
                    events: log.clone(),
                    snapshots: Some(log.clone()),
                    spread: Some(log),
                    embedded: None,
                }
            }
        };
        let topology = log.events.topology();
        tracing::info!(log_id = %topology.log_id, lanes = topology.lanes, "log open");
        Ok(log)
    }

    fn embedded(
        configuration: &Configuration,
        name: Context,
        contexts: Vec<Context>,
    ) -> anyhow::Result<Self> {
        let settings = configuration.log.embedded(name, contexts);
        let log = Embedded::open(&configuration.data.join("log"), settings)
            .with_context(|| format!("cannot open the data in {}", configuration.data.display()))?;
        let log = Arc::new(log);
        Ok(Self {
            events: log.clone(),
            snapshots: Some(log.clone()),
            spread: None,
            embedded: Some(log),
        })
    }

    /// Tells whether the log takes appends.
    ///
    /// # Errors
    /// A sentence for people; of a log on Kafka the lanes say it, one by one.
    pub(crate) fn health(&self) -> Result<(), String> {
        self.embedded.as_ref().map_or(Ok(()), |log| log.health())
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("topology", self.events.topology())
            .finish_non_exhaustive()
    }
}
