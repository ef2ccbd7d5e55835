//! What the projectors of a process are made of.

use std::{fmt, sync::Arc};

use foldline_event_log::EventLog;
use foldline_read_model::Model;
use foldline_schema::Catalog;
use foldline_tables::Tables;

use crate::{Settings, share::Share};

/// Reads a stored definition: the read model's name and its TOML; the error is a sentence.
pub type Load = Arc<dyn Fn(&str, &str) -> Result<Model, String> + Send + Sync>;

/// Is told the name of a read model after each commit of its serving generation.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// Everything that [`Projectors`](crate::Projectors) need.
#[derive(Clone)]
pub struct Parts {
    /// The log that is followed.
    pub log: Arc<dyn EventLog>,
    /// The store of the rows.
    pub tables: Arc<dyn Tables>,
    /// Every stored type that this binary knows.
    pub catalog: Arc<Catalog>,
    /// The current definition of every read model.
    pub models: Vec<Arc<Model>>,
    /// Reads the definitions that older generations were built by.
    pub load: Load,
    /// Wakes the queries that wait for a position. It MUST NOT block.
    pub notice: Notice,
    /// Every bound.
    pub settings: Settings,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("topology", self.log.topology())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What every task of the projectors shares.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) load: Load,
    pub(crate) notice: Notice,
    pub(crate) settings: Settings,
    pub(crate) share: Arc<Share>,
}
