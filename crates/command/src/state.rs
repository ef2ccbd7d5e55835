//! States that memory does not hold: how much it may, and the local store for the rest.
//!
//! The store is disposable: every state in it is one that the log gave, as of the versions of its
//! streams, and all of them can be had again from snapshots and log. It is there so that memory is
//! bounded, and so that a node that comes back reads little (`docs/adr/0012-a-local-store-for-states.md`).

pub(crate) mod codec;
mod directory;
mod store;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use foldline_event_log::Snapshot;
use foldline_kernel::{Lane, LogId, UserId};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinHandle,
};

pub(crate) use self::store::{Saved, Store};
use self::{
    directory::{Directory, Origin},
    store::Bounds,
};
use crate::{Contexts, user::User};

/// Users being read, each with its state if it has one.
pub(crate) type Reading = JoinHandle<Result<Vec<(UserId, Option<User>)>, StateError>>;

/// How much of the users' states is in memory, and where the rest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The directory of the local store; without one every state is in memory, and starts read
    /// snapshots and log.
    pub directory: Option<PathBuf>,
    /// What all states of this node in memory may come to together, the local store's own memory
    /// included. Sizes of states are estimated from their JSON.
    pub bytes_max: usize,
    /// How many events a lane appends before the local store is brought up to date, so that a
    /// start after a crash reads little more than that.
    pub round_events: usize,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self {
            directory: None,
            bytes_max: 256 << 20,
            round_events: 50_000,
        }
    }
}

/// The store's cache of blocks, and what it holds before it writes a table, as parts of the bound.
const CACHE_PART: usize = 16;
const MEMTABLE_PART: usize = 32;
const CACHE_BYTES: (usize, usize) = (1 << 20, 64 << 20);
const MEMTABLE_BYTES: (usize, usize) = (64 << 10, 16 << 20);
/// The one that takes writes, and those on their way to tables.
const MEMTABLES: usize = 3;

/// The states of a node.
pub(crate) struct States {
    settings: StateSettings,
    origin: Origin,
    /// How many lanes share the bound.
    sharing: Arc<AtomicUsize>,
    opened: Mutex<Opened>,
    /// One after the other: a lane that is given up and taken again waits here until nothing of
    /// before is still being written.
    lanes: Vec<Arc<Mutex<()>>>,
}

#[derive(Default)]
struct Opened {
    directory: Option<Directory>,
    store: Option<Arc<Store>>,
}

/// Why the local store cannot be used; whatever it holds is then begun anew.
#[derive(Debug, thiserror::Error)]
#[error("the local store of states cannot be used: {0}")]
pub(crate) struct StateError(String);

impl From<&str> for StateError {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<fjall::Error> for StateError {
    fn from(error: fjall::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for StateError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<tokio::task::JoinError> for StateError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(error.to_string())
    }
}

impl States {
    pub(crate) fn new(
        settings: StateSettings,
        contexts: &Contexts,
        log_id: LogId,
        lanes: u16,
    ) -> Self {
        let revisions = (0..contexts.len()).map(|index| {
            let rules = contexts.rules(index);
            (rules.context().to_string(), rules.revision())
        });
        Self {
            settings,
            origin: Origin {
                log_id,
                lanes,
                revisions: revisions.collect(),
            },
            sharing: Arc::default(),
            opened: Mutex::default(),
            lanes: (0..lanes).map(|_| Arc::default()).collect(),
        }
    }

    /// Has a lane use the local store; `None` where there is none.
    ///
    /// # Errors
    /// [`StateError`]: neither the store that was there nor a new one can be opened.
    pub(crate) async fn lane(
        self: &Arc<Self>,
        lane: Lane,
    ) -> Result<Option<LaneStates>, StateError> {
        if self.settings.directory.is_none() {
            return Ok(None);
        }
        let alone = Arc::clone(&self.lanes[lane.index()]).lock_owned().await;
        let store = self.store().await?;
        self.sharing.fetch_add(1, Relaxed);
        Ok(Some(LaneStates {
            lane,
            store,
            states: Arc::clone(self),
            _alone: Arc::new(alone),
            _sharing: Arc::new(Sharing(Arc::clone(&self.sharing))),
        }))
    }

    async fn store(self: &Arc<Self>) -> Result<Arc<Store>, StateError> {
        let mut opened = self.opened.lock().await;
        if let Some(store) = &opened.store {
            return Ok(Arc::clone(store));
        }
        let (states, directory) = (Arc::clone(self), opened.directory.take());
        let opening = tokio::task::spawn_blocking(move || states.open(directory));
        let (directory, store) = opening.await??;
        let store = Arc::new(store);
        *opened = Opened {
            directory: Some(directory),
            store: Some(Arc::clone(&store)),
        };
        Ok(store)
    }

    fn open(&self, directory: Option<Directory>) -> Result<(Directory, Store), StateError> {
        let path = self.settings.directory.as_deref();
        let path = path.ok_or("no directory is configured")?;
        let mut directory =
            directory.map_or_else(|| Directory::open(path, self.origin.clone()), Ok)?;
        let bounds = self.bounds();
        let store = Store::open(&directory.store(), bounds).or_else(|error| {
            tracing::warn!(store = %directory.store().display(), %error, "local states begun anew");
            directory.begin_anew()?;
            Store::open(&directory.store(), bounds)
        })?;
        Ok((directory, store))
    }

    fn bounds(&self) -> Bounds {
        let part = |of: usize, (min, max)| (self.settings.bytes_max / of).clamp(min, max);
        Bounds {
            cache_bytes: part(CACHE_PART, CACHE_BYTES) as u64,
            memtable_bytes: part(MEMTABLE_PART, MEMTABLE_BYTES) as u64,
        }
    }

    /// Gives up a store that has failed; the next lane that asks gets a new one.
    async fn discard(&self, failed: &Arc<Store>) {
        let mut opened = self.opened.lock().await;
        if opened
            .store
            .take_if(|store| Arc::ptr_eq(store, failed))
            .is_none()
        {
            return;
        }
        if let Some(directory) = &mut opened.directory
            && let Err(error) = directory.begin_anew()
        {
            tracing::warn!(%error, "the local store that failed cannot be given up");
            opened.directory = None;
        }
    }

    /// Closes the store in order once no lane uses it any more.
    pub(crate) async fn close(&self) {
        let mut opened = self.opened.lock().await;
        let Opened { directory, store } = std::mem::take(&mut *opened);
        let (Some(mut directory), Some(store)) = (directory, store) else {
            return;
        };
        let closing = tokio::task::spawn_blocking(move || {
            // A lane that hangs may write yet.
            let store = Arc::into_inner(store).ok_or("it is still being used")?;
            store.sync()?;
            drop(store);
            Ok::<_, StateError>(directory.close()?)
        });
        if let Err(error) = closing.await.map_err(StateError::from).flatten() {
            tracing::warn!(%error, "local states were not closed in order");
        }
    }
}

/// Counts a lane among those that share the bound.
struct Sharing(Arc<AtomicUsize>);

impl Drop for Sharing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The local store as one lane uses it; while any copy of this lives, no other use of the lane
/// begins.
#[derive(Clone)]
pub(crate) struct LaneStates {
    lane: Lane,
    store: Arc<Store>,
    states: Arc<States>,
    _alone: Arc<OwnedMutexGuard<()>>,
    _sharing: Arc<Sharing>,
}

impl LaneStates {
    /// Returns what this lane's states in memory may come to.
    pub(crate) fn share(&self) -> usize {
        let bounds = self.states.bounds();
        let store = bounds.cache_bytes as usize + MEMTABLES * bounds.memtable_bytes as usize;
        let all = self.states.settings.bytes_max.saturating_sub(store);
        all / self.states.sharing.load(Relaxed).max(1)
    }

    pub(crate) fn round_events(&self) -> usize {
        self.states.settings.round_events
    }

    /// Returns how many events this lane's first round comes earlier than a whole one, so that the
    /// lanes of a node take turns.
    pub(crate) fn head_start(&self) -> usize {
        self.round_events() / self.states.lanes.len() * self.lane.index()
    }

    /// Has the store do something, beside the runtime's workers.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, Lane) -> Result<T, StateError> + Send + 'static,
    ) -> JoinHandle<Result<T, StateError>> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this.store, this.lane))
    }

    /// Has the store do something, and waits for it.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, Lane) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let done = self.start(work).await;
        done.map_err(StateError::from).flatten()
    }

    /// Begins to read users who are not in memory: of each its state, or that it has none.
    pub(crate) fn read(&self, mut ids: Vec<UserId>, contexts: Arc<Contexts>) -> Reading {
        ids.sort_unstable();
        ids.dedup();
        self.start(move |store, lane| {
            let states = store.read(lane, &ids)?;
            let read = ids.into_iter().zip(states).map(|(id, state)| {
                let user = state.map(|state| codec::read(&state, &contexts));
                match user {
                    None => Ok((id, None)),
                    Some(Some(user)) => Ok((id, Some(user))),
                    Some(None) => Err(StateError::from("a state in it is unreadable")),
                }
            });
            read.collect()
        })
    }

    /// Copies users' states as they are written.
    pub(crate) async fn copy(&self, users: Vec<UserId>) -> Result<Vec<Snapshot>, StateError> {
        let copying = self.blocking(move |store, lane| {
            let states = store.read(lane, &users)?;
            let copied = users.into_iter().zip(states).filter_map(|(user, state)| {
                let state = state?.to_vec();
                Some(Snapshot { user, state })
            });
            Ok(copied.collect())
        });
        copying.await
    }

    /// Gives up the store, after it has failed.
    pub(crate) async fn discard(self) {
        self.states.discard(&self.store).await;
    }
}
