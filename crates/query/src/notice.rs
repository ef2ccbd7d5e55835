//! How the projectors of the same process tell the queries what has happened to a read model.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use foldline_read_model::Model;
use tokio::sync::watch;

/// Tells the queries of this process that a read model has absorbed more, or has been switched.
///
/// Both have a bound of their own where nobody tells, as when the projector lives in another
/// process: a query that waits looks at the checkpoint from time to time, and the registry's word
/// is believed for [`registry_age_max`](crate::Settings::registry_age_max).
#[derive(Clone, Debug)]
pub struct Notice {
    models: Arc<BTreeMap<Arc<str>, Told>>,
}

#[derive(Debug)]
struct Told {
    absorbed: watch::Sender<()>,
    switches: AtomicU64,
}

impl Notice {
    /// Makes a notice for these read models.
    pub fn new<'m>(models: impl IntoIterator<Item = &'m Arc<Model>>) -> Self {
        let told = |model: &Arc<Model>| {
            let told = Told {
                absorbed: watch::Sender::new(()),
                switches: AtomicU64::new(0),
            };
            (Arc::clone(&model.name), told)
        };
        Self {
            models: Arc::new(models.into_iter().map(told).collect()),
        }
    }

    /// Says that a read model has absorbed more. It never blocks.
    pub fn absorbed(&self, model: &str) {
        if let Some(told) = self.models.get(model) {
            told.absorbed.send_replace(());
        }
    }

    /// Says that another generation of a read model may serve now. It never blocks.
    ///
    /// Whoever switches MUST say so before the generation that served is written to again: queries
    /// then never answer from a generation that went on after it was replaced.
    pub fn switched(&self, model: &str) {
        if let Some(told) = self.models.get(model) {
            told.switches.fetch_add(1, Ordering::SeqCst);
            // Whoever waits for the old one to go on need not.
            told.absorbed.send_replace(());
        }
    }

    /// How many switches have been told of.
    pub(crate) fn switches(&self, model: &str) -> u64 {
        let told = self.models.get(model);
        told.map_or(0, |told| told.switches.load(Ordering::SeqCst))
    }

    pub(crate) fn subscribe(&self, model: &str) -> Option<watch::Receiver<()>> {
        self.models.get(model).map(|told| told.absorbed.subscribe())
    }
}
