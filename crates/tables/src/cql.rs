//! Tables in ScyllaDB or Cassandra, in the subset of CQL that means the same on both.
//!
//! ```text
//!   foldline_generations   which generations there are, which serves, the last number given
//!   foldline_checkpoints   how far each has come       foldline_parked   whom it holds back
//!   order_g3, order_g4     the rows of one generation each
//! ```
//!
//! There are no transactions, so exactly one effect comes from what is written rather than from
//! when: every write carries a timestamp made of the lane sequence of the last event in it
//! (`timestamp`) and a value that follows from the events up to there. It may be done twice, late
//! or by somebody who has been replaced, and changes nothing that it should not. Rows are written
//! first, then who is held back, then the checkpoints; so a checkpoint may be behind the rows,
//! never ahead of them. There are no conditional writes, counters, lists or logged batches.

mod absorbed;
mod cache;
mod merge;
mod reader;
mod refusal;
mod registry;
mod rows;
mod scan;
mod schema;
mod select;
mod session;
#[cfg(test)]
mod tests;
mod trouble;
mod turn;
mod value;
mod writer;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use foldline_kernel::{LaneSequence, LogId};
use foldline_read_model::Model;
use scylla::value::CqlValue;

use self::{reader::Reader, schema::Layout, session::Store, trouble::Subject, writer::Writer};
use crate::{
    Generation, GenerationNumber, GenerationState, Refusal, SwitchError, TableError, TableReader,
    TableWriter, Tables,
};

/// Where the cluster is and how it is entered.
#[derive(Clone)]
pub struct Settings {
    /// Some nodes, as `host:port`; the others are found through them.
    pub nodes: Vec<String>,
    /// The keyspace, which is made where there is none; at most 48 letters, digits and `_`.
    pub keyspace: String,
    /// How many replicas each datacentre has of a keyspace that is made.
    pub replicas: u8,
    /// User and password.
    pub credentials: Option<(String, String)>,
}

impl Settings {
    /// Settings for a cluster without passwords, with three replicas.
    pub fn new(nodes: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self {
            nodes,
            keyspace: keyspace.into(),
            replicas: 3,
            credentials: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.as_ref().map(|(user, _)| user);
        f.debug_struct("Settings")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .field("replicas", &self.replicas)
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

/// The tables of one keyspace.
#[derive(Clone, Debug)]
pub struct Cql {
    store: Arc<Store>,
}

impl Cql {
    /// Connects to a cluster. The keyspace and Foldline's own tables are made where they are
    /// missing; where they are there, a role that may only select can open them, too.
    ///
    /// # Errors
    /// [`TableError`] when the cluster cannot be reached or refuses.
    pub async fn open(settings: &Settings) -> Result<Self, TableError> {
        Ok(Self {
            store: Store::open(settings).await?,
        })
    }

    /// Drops the keyspace with everything in it; for tests, each of which has one of its own.
    ///
    /// # Errors
    /// [`TableError`] when the cluster cannot be reached or refuses.
    #[cfg(any(test, feature = "conformance"))]
    pub async fn drop_keyspace(&self) -> Result<(), TableError> {
        let keyspace = &self.store.keyspace;
        let dropped = self
            .store
            .change(&format!("DROP KEYSPACE \"{keyspace}\""))
            .await;
        dropped.map_err(|fault| fault.told(format!("drop the keyspace {keyspace}")))
    }

    fn layout(&self, model: &Model, number: GenerationNumber) -> Layout {
        let name = schema::table_name(&model.name, number);
        Layout::new(model, self.store.table(&name))
    }

    async fn find(&self, subject: &Subject) -> Result<GenerationState, TableError> {
        let listed = registry::list(&self.store, &subject.model).await;
        let listed = listed.map_err(|fault| subject.error("find", fault))?;
        let found = listed.find(subject.number).map(|known| known.state);
        found.ok_or_else(|| subject.gone())
    }

    async fn open_writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Writer, TableError> {
        let subject = subject(&model.name, generation);
        self.find(&subject).await?;
        let layout = self.layout(model, generation);
        let store = Arc::clone(&self.store);
        Ok(Writer::new(store, Arc::clone(model), subject, layout))
    }
}

fn subject(model: &str, number: GenerationNumber) -> Subject {
    Subject {
        model: model.to_owned(),
        number,
    }
}

/// The timestamp of everything that follows from a lane's events up to a place.
///
/// Six bits are left for the order of several writes of one event; every row is written once per
/// batch, so none is needed yet. A lane would have to come to 2.8 × 10¹³ events before ScyllaDB
/// took it for the future.
fn timestamp(last: LaneSequence) -> i64 {
    ((last.0 + 1) << 6).cast_signed()
}

fn number(number: GenerationNumber) -> CqlValue {
    CqlValue::Int(number.0.cast_signed())
}

#[async_trait]
impl Tables for Cql {
    fn refuses(&self, model: &Model) -> Option<Refusal> {
        refusal::refusal(model)
    }

    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        match registry::list(&self.store, model).await {
            Ok(listed) => Ok(listed.generations),
            Err(fault) => Err(fault.told(format!("read the generations of {model}"))),
        }
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        registry::create(&self.store, model, log_id).await
    }

    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError> {
        registry::switch(&self.store, &subject(model, to), from).await
    }

    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError> {
        registry::retire(&self.store, &subject(model, generation)).await
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        Ok(Box::new(self.open_writer(model, generation).await?))
    }

    async fn reader(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        let subject = subject(&model.name, generation);
        self.find(&subject).await?;
        Ok(Arc::new(Reader {
            store: Arc::clone(&self.store),
            model: Arc::clone(model),
            subject,
            layout: Arc::new(self.layout(model, generation)),
        }))
    }
}
