//! The log in one directory of one process, on fjall.
//!
//! ```text
//!   writers ── encoded batches ──▶ committer ── one synced commit ──▶ store, then `heads`
//!                                      │
//!                                      └─▶ tails (last events in memory) ──▶ followers
//!                                          store, in chunks ───────────────▶ followers behind
//! ```
//!
//! It promises what [`EventLog`] does. An append is answered once its commit has been synced; a
//! write or sync that failed closes the log for writing, because nobody knows then what the disk
//! holds. Damage is told when the log is opened (a tail that is not there) or where a follower
//! meets it (a record that does not verify); nothing is ever passed by in silence.
//!
//! Start reading at `embedded/committer.rs` for writing, `embedded/follower.rs` for reading.

mod check;
mod committer;
mod directory;
mod error;
mod follower;
mod heads_file;
mod journal;
mod reader;
mod record;
mod shared;
mod snapshots;
mod spread;
mod start;
mod store;
mod tail;
mod writer;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use foldline_kernel::{Context, Lane, Topology};
use tokio::sync::{mpsc, oneshot};

use self::{
    committer::{Committer, OpenWriter, REQUESTS_WAITING_MAX, Request},
    directory::Directory,
    follower::EmbeddedFollower,
    heads_file::{HeadsFile, HeadsFileError},
    shared::Shared,
    store::Store,
    tail::Tail,
    writer::EmbeddedWriter,
};
use crate::{
    Announcement, EventLog, FollowError, Follower, From, Heads, LaneWriter, OpenWriterError,
};

pub use error::OpenError;

/// The embedded log, open.
///
/// The directory stays locked until this handle and every writer and follower of it are gone.
pub struct Embedded {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

/// What a program says of its log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's name, the first part of every event's `source`.
    pub name: Context,
    /// The number of lanes of a log that is created; an existing log keeps its own.
    pub lanes: u16,
    /// The program's contexts: all that the log has, and new ones, which are added to it.
    pub contexts: Vec<Context>,
}

impl Settings {
    /// The number of lanes of an embedded log unless configured.
    pub const LANES: u16 = 8;
}

impl Embedded {
    /// Opens the log in a directory, creating both where there is none.
    ///
    /// # Errors
    /// [`OpenError`]; each says what to do about it.
    pub fn open(dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        let (directory, topology) = Directory::open(dir, &settings)?;
        if !directory.store_path().exists() {
            make_store(&directory, &topology)?;
        }
        let store = Store::open(&directory.store_path(), &topology)
            .map_err(|error| not_opened(&directory, error))?;
        directory
            .sync_store()
            .map_err(|error| directory.unavailable(error))?;
        let mut heads_file =
            HeadsFile::open(&directory.heads_path(), &topology).map_err(|error| match error {
                HeadsFileError::Io(error) => directory.unavailable(error),
                HeadsFileError::Damaged(trouble) => directory.damaged("heads", &trouble),
            })?;
        let states = topology
            .all_lanes()
            .map(|lane| check::lane(&directory, &topology, &store, &mut heads_file, lane))
            .collect::<Result<Vec<_>, _>>()?;
        let tails = states
            .iter()
            .map(|state| Tail::new(state.heads.clone()))
            .collect();
        let shared = Arc::new(Shared::new(topology, tails, store, directory));
        let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
        let committer = Committer::new(Arc::clone(&shared), waiting, states, heads_file);
        std::thread::Builder::new()
            .name("foldline-log".into())
            .spawn(move || committer.run())
            .map_err(|error| shared.directory.unavailable(error))?;
        Ok(Self { shared, requests })
    }

    /// Tells whether the log takes appends now, and why not.
    ///
    /// # Errors
    /// A sentence for people: a write failed, and the process has to be started again; or the
    /// disk is full.
    pub fn health(&self) -> Result<(), String> {
        if let Some(closed) = self.shared.closed() {
            return Err(closed.to_string());
        }
        let directory = &self.shared.directory;
        directory.check_room(directory.room(), 0)
    }

    /// Returns how many bytes the records take on disk, journals included.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.store.database.disk_space().unwrap_or_default()
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("dir", &self.shared.directory.path())
            .field("topology", &self.shared.topology)
            .finish_non_exhaustive()
    }
}

/// Makes an empty store aside and gives it its name once it is whole and durable: a store that was
/// cut off while it was being made cannot be told from a damaged one.
fn make_store(directory: &Directory, topology: &Topology) -> Result<(), OpenError> {
    let unavailable = |error: std::io::Error| directory.unavailable(error);
    let aside = directory.clear_store_aside().map_err(unavailable)?;
    let made = Store::open(&aside, topology).and_then(|store| store.persist());
    made.map_err(|error| directory.unavailable(error))?;
    directory.name_store().map_err(unavailable)
}

/// Says why the store was not opened, and where in it the damage lies if that can be found.
fn not_opened(directory: &Directory, error: fjall::Error) -> OpenError {
    if !store::is_damage(&error) {
        return directory.unavailable(error);
    }
    match journal::damaged_record(&directory.store_path()) {
        Ok(Some((lane, at, corruption))) => directory.corrupt(lane, at, corruption),
        Ok(None) => directory.damaged("store", &error.to_string()),
        Err(unreadable) => directory.unavailable(unreadable),
    }
}

#[async_trait]
impl EventLog for Embedded {
    fn topology(&self) -> &Topology {
        &self.shared.topology
    }

    /// There is no other node to announce anything to.
    async fn open_writer(
        &self,
        lane: Lane,
        _: Announcement,
    ) -> Result<Box<dyn LaneWriter>, OpenWriterError> {
        let unavailable = |source| OpenWriterError::Unavailable { lane, source };
        if lane.0 >= self.shared.topology.lanes {
            let lanes = self.shared.topology.lanes;
            return Err(unavailable(format!("the log has {lanes} lanes").into()));
        }
        let (answer, outcome) = oneshot::channel();
        let request = Request::OpenWriter(OpenWriter { lane, answer });
        if self.requests.send(request).await.is_err() {
            let closed = self.shared.close("the committer ended");
            return Err(unavailable(closed.into()));
        }
        let state = outcome.await.map_err(|gone| unavailable(gone.into()))??;
        let shared = Arc::clone(&self.shared);
        let requests = self.requests.clone();
        Ok(Box::new(EmbeddedWriter::new(shared, requests, lane, state)))
    }

    async fn follow(
        &self,
        context: &Context,
        partition: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError> {
        let start = start::of_context(&self.shared, context, partition, from).await?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(EmbeddedFollower::new(shared, start)))
    }

    async fn follow_lane(&self, lane: Lane, from: From) -> Result<Box<dyn Follower>, FollowError> {
        let start = start::of_lane(&self.shared, lane, from)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(EmbeddedFollower::new(shared, start)))
    }

    async fn heads(&self, lane: Lane) -> Result<Heads, FollowError> {
        start::end(&self.shared, lane)
    }
}
