//! The tables port: what every store of rows promises.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Checkpoint, Lane, LaneSequence, LogId, Position, UserId};
use foldline_read_model::{Change, Model, OrderTerm, Revision, RowKey, RowValues, Value};
use serde::{Deserialize, Serialize};

use crate::{CommitError, SwitchError, TableError};

/// A store of read models: derived state, every generation of which can be dropped and rebuilt.
///
/// A generation is one built copy of a read model in tables of its own. The *registry* has one
/// row per generation and says which one serves; switching changes that row and nothing else, so
/// readers never wait for a rename.
#[async_trait]
pub trait Tables: Send + Sync + 'static {
    /// Says why this store cannot keep a read model exactly, or cannot answer its queries; none
    /// where it can. Whoever loads a definition asks before anything is made of it.
    fn refuses(&self, _model: &Model) -> Option<Refusal> {
        None
    }

    /// Returns every generation of a read model that has not been retired, oldest first.
    ///
    /// # Errors
    /// [`TableError`].
    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError>;

    /// Makes the tables of a new generation, empty and in state [`GenerationState::Building`].
    ///
    /// # Errors
    /// [`TableError`].
    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError>;

    /// Makes a generation the one that serves, provided that `from` is the one that does now
    /// (none: that none does); that one becomes [`GenerationState::Previous`]. Atomic: readers see
    /// the one or the other.
    ///
    /// Where `to` serves already, nothing is changed, and that is success: a switch whose answer
    /// was lost may be repeated, and two processes may mean the same.
    ///
    /// # Errors
    /// [`SwitchError`].
    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError>;

    /// Drops the tables of a generation that does not serve, and its registry row.
    ///
    /// # Errors
    /// [`TableError`]; the serving generation is refused.
    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError>;

    /// Opens a generation for writing.
    ///
    /// Several writers may be open, in several processes; the checkpoints fence them.
    ///
    /// # Errors
    /// [`TableError`].
    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError>;

    /// Opens a generation for reading, with a role that can only select.
    ///
    /// # Errors
    /// [`TableError`].
    async fn reader(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError>;
}

/// Writes the rows of one generation.
#[async_trait]
pub trait TableWriter: Send {
    /// Says how it takes the changes of a batch.
    fn grain(&self) -> Grain {
        Grain::Rows
    }

    /// Returns the checkpoints and parked users as they stand.
    ///
    /// # Errors
    /// [`TableError`].
    async fn absorbed(&mut self) -> Result<Absorbed, TableError>;

    /// Commits a batch: rows, checkpoints and parked users in one transaction, the checkpoints
    /// moved first and only from the value this writer last saw.
    ///
    /// On success the batch has had exactly one effect; on every error it has had none, save
    /// [`CommitError::Unknown`], after which [`Self::absorbed`] tells.
    ///
    /// A store without transactions ([`Grain::Events`]) writes rows, then parked users, then
    /// checkpoints. After an error rows MAY be ahead of the checkpoints; applying the same events
    /// to them again MUST change nothing, whoever does it and however late it arrives.
    ///
    /// # Errors
    /// [`CommitError`].
    async fn commit(&mut self, batch: &Batch) -> Result<(), CommitError>;

    /// Makes a generation that was loaded in bulk fit for reading: indexes, statistics, sync.
    /// Idempotent.
    ///
    /// # Errors
    /// [`TableError`].
    async fn finish_loading(&mut self) -> Result<(), TableError>;

    /// Makes the indexes that the queries of this writer's model ask for, where they are missing:
    /// queries may change while the rules, and so the rows, stay the same. Idempotent. Commits may
    /// have to wait meanwhile.
    ///
    /// # Errors
    /// [`TableError`].
    async fn index(&mut self) -> Result<(), TableError>;

    /// Holds back the commits of every other writer, in whichever process, until this one is
    /// dropped, and returns what has been absorbed. Whoever holds MUST let go within a bound.
    ///
    /// A store without transactions cannot, and MAY return what it reads.
    ///
    /// # Errors
    /// [`TableError`].
    async fn hold(&mut self) -> Result<Absorbed, TableError>;
}

/// Reads the rows of one generation. It never writes.
#[async_trait]
pub trait TableReader: Send + Sync {
    /// Returns the checkpoints and parked users as they stand.
    ///
    /// # Errors
    /// [`TableError`].
    async fn absorbed(&self) -> Result<Absorbed, TableError>;

    /// Selects rows, and what had been absorbed before they were read.
    ///
    /// # Errors
    /// [`TableError`].
    async fn select(&self, select: &Select) -> Result<Selected, TableError>;

    /// Begins a pass over all rows. Hidden columns and rows that do not show are included; as of
    /// which point they are, [`TableSnapshot::as_of`] says.
    ///
    /// # Errors
    /// [`TableError`].
    async fn snapshot(&self) -> Result<Box<dyn TableSnapshot>, TableError>;

    /// Counts the rows that show.
    ///
    /// # Errors
    /// [`TableError`].
    async fn count(&self) -> Result<u64, TableError>;

    /// Returns how many bytes the generation takes in its store, indexes included; none where
    /// that cannot be had cheaply.
    ///
    /// # Errors
    /// [`TableError`].
    async fn bytes(&self) -> Result<Option<u64>, TableError>;
}

/// A pass over all rows of one snapshot.
#[async_trait]
pub trait TableSnapshot: Send {
    /// Returns what the snapshot has absorbed; where [`Self::as_of`] is [`AsOf::Rows`], what had
    /// been absorbed before the first row was read.
    fn absorbed(&self) -> &Absorbed;

    /// Says as of which point the rows are.
    fn as_of(&self) -> AsOf {
        AsOf::Checkpoints
    }

    /// Returns up to `limit` further rows in ascending order of their keys (by [`Value`]'s order,
    /// whatever the clustering order; where [`Self::as_of`] is [`AsOf::Rows`], in any order);
    /// empty at the end.
    ///
    /// # Errors
    /// [`TableError`].
    async fn next_rows(&mut self, limit: usize) -> Result<Vec<(RowKey, RowValues)>, TableError>;

    /// As [`Self::next_rows`] for a snapshot whose [`Self::as_of`] is [`AsOf::Rows`]: each row with
    /// the places up to which it is folded, those that have been deleted among them.
    ///
    /// # Errors
    /// [`TableError`].
    async fn next_dated(&mut self, _limit: usize) -> Result<Vec<DatedRow>, TableError> {
        Ok(Vec::new())
    }

    /// Starts over at the first row, as of the same point.
    fn rewind(&mut self);
}

/// The number of a generation of one read model, from 1; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationNumber(pub u32);

impl std::fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One built copy of a read model, as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The read model's name.
    pub model: String,
    /// Its number.
    pub number: GenerationNumber,
    /// The rules it was built by.
    pub revision: Revision,
    /// The definition it was built by, as TOML, so that it can still be followed and read after
    /// its file has changed.
    pub definition: String,
    /// The log it was built from.
    pub log_id: LogId,
    /// Whether it serves.
    pub state: GenerationState,
}

/// What a generation is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenerationState {
    /// It is being built beside the serving one.
    Building,
    /// Queries read it.
    Serving,
    /// It served before, and is still followed so that one can go back to it.
    Previous,
}

/// What a generation has absorbed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// One checkpoint per lane that has one.
    pub checkpoints: Vec<Checkpoint>,
    /// The users it holds back.
    pub parked: Vec<Parked>,
}

impl Absorbed {
    /// Returns the checkpoint of a lane.
    pub fn lane(&self, lane: Lane) -> Option<&Checkpoint> {
        self.checkpoints
            .iter()
            .find(|checkpoint| checkpoint.lane == lane)
    }
}

/// A user whom a generation holds back from a position on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The user.
    pub user: UserId,
    /// The user's lane.
    pub lane: Lane,
    /// The first event that could not be applied.
    pub position: Position,
    /// That event's lane sequence.
    pub lane_sequence: LaneSequence,
    /// Why.
    pub reason: String,
}

/// How a writer takes the changes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// One change per row: all that the batch does to it.
    Rows,
    /// One change per row and event, with the event's lane: rows may be ahead of the checkpoint,
    /// so the store itself leaves out the events that a row has absorbed before.
    Events,
}

/// As of which point the rows of a snapshot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// All of them as of the checkpoints of [`TableSnapshot::absorbed`].
    Checkpoints,
    /// Each as of places of its own ([`DatedRow::places`]), which may lie beyond the checkpoints.
    Rows,
}

/// A row and how far it is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedRow {
    /// Its key.
    pub key: RowKey,
    /// Its values; none where the last event deleted it.
    pub values: Option<RowValues>,
    /// Per lane that has touched it, the lane sequence of the last event that is in it.
    pub places: Vec<(Lane, LaneSequence)>,
}

/// Why a store does not take a read model, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {way}")]
pub struct Refusal {
    /// Why it could not be exact, or could not be asked, on this store.
    pub reason: String,
    /// A way that works.
    pub way: String,
}

/// What one commit writes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Per lane: the lane sequence this writer last saw there (the fence), and the new place.
    pub checkpoints: Vec<(LaneSequence, Checkpoint)>,
    /// One change per row, sorted by key, no key twice. For a writer that takes
    /// [`Grain::Events`]: one per row and event, those of one lane in its order.
    pub rows: Vec<(RowKey, Change)>,
    /// For a writer that takes [`Grain::Events`]: the lane of each of `rows`. It may be empty
    /// where there is one checkpoint, whose lane is then that of all rows.
    pub lanes: Vec<Lane>,
    /// Users that are held back from now on.
    pub parked: Vec<Parked>,
}

/// What a query reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// What every row must have.
    pub conditions: Vec<Condition>,
    /// The words that must all be in one of the searched columns: per query `text` list.
    pub words: Option<Words>,
    /// A total order; on wide tables the clustering order.
    pub order: Vec<OrderTerm>,
    /// Continue after the row with these values of the order's terms.
    pub after: Option<Vec<OrderValue>>,
    /// The most rows to return.
    pub limit: u32,
    /// Whether rows are held to `Model::present`.
    pub present_only: bool,
    /// Whether somebody waited for a position: every commit that has ended must then be seen. A
    /// store whose replicas may lag MAY answer from one of them otherwise.
    pub fresh: bool,
}

/// The value of one order term in one row.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderValue {
    /// A column's.
    Column(Value),
    /// A derived value's; `None` is null.
    Derived(Option<f64>),
}

/// A condition on one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The column equals the value (which is not null).
    Eq(usize, Value),
    /// The column is at least the value.
    AtLeast(usize, Value),
    /// The column is at most the value.
    AtMost(usize, Value),
}

/// Words that must all occur, folded as `foldline_read_model` folds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The columns that are searched together.
    pub columns: Vec<usize>,
    /// The words.
    pub words: Vec<String>,
}

/// The rows of one selection.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// What had been absorbed when they were read, or before.
    pub absorbed: Absorbed,
    /// The rows, in the order asked for: every column of the model, by index.
    pub rows: Vec<Vec<Value>>,
}
