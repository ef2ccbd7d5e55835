//! How a projector in the same process wakes the queries that wait for it.

use std::{collections::BTreeMap, sync::Arc};

use foldline_read_model::Model;
use tokio::sync::watch;

/// Wakes the queries that wait for a read model to absorb more.
///
/// It is a hint and nothing depends on it: a query that waits looks at the checkpoint anyway from
/// time to time, since the projector may live in another process.
#[derive(Clone, Debug)]
pub struct AbsorbedNotice {
    models: Arc<BTreeMap<Arc<str>, watch::Sender<()>>>,
}

impl AbsorbedNotice {
    /// Makes a notice for these read models.
    pub fn new<'m>(models: impl IntoIterator<Item = &'m Arc<Model>>) -> Self {
        let sender = |model: &Arc<Model>| (Arc::clone(&model.name), watch::Sender::new(()));
        Self {
            models: Arc::new(models.into_iter().map(sender).collect()),
        }
    }

    /// Says that a read model has absorbed more. It never blocks.
    pub fn notify(&self, model: &str) {
        if let Some(sender) = self.models.get(model) {
            sender.send_replace(());
        }
    }

    pub(crate) fn subscribe(&self, model: &str) -> Option<watch::Receiver<()>> {
        self.models.get(model).map(watch::Sender::subscribe)
    }
}
