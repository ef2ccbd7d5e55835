//! The local store's keys, and what is read and written at a time. All of it blocks.
//!
//! ```text
//!   lane u16 │ 0           ->  marker u64 │ the users whom no snapshot has in full, 16 bytes each
//!   lane u16 │ 1 │ user 16 ->  (nothing)      its state was spoilt
//!   lane u16 │ 2 │ user 16 ->  the state, as `codec.rs` writes it
//! ```
//!
//! One keyspace for all lanes: what it holds in memory is bounded once, however many there are.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use foldline_kernel::{Lane, LaneSequence, UserId};
use uuid::Uuid;

use super::StateError;

const MARKER: u8 = 0;
const SPOILT: u8 = 1;
const STATE: u8 = 2;

/// The least that the journal may take; a start reads it again.
const JOURNALS_BYTES_MAX: u64 = 64 << 20;
/// Threads that write tables and merge them. With two, the first spins as long as the other is at
/// a merge, for it only writes tables and puts back what else it is given.
const WORKERS: usize = 3;
/// How many keys are removed at a time.
const REMOVED_MAX: usize = 1000;

/// A user's state on its way to the store.
pub(crate) struct Saved {
    pub(crate) user: UserId,
    pub(crate) state: Vec<u8>,
    pub(crate) spoilt: bool,
    /// Whether the store has a spoilt one, and this one is not.
    pub(crate) healed: bool,
}

/// What all that it keeps in memory is bounded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) cache_bytes: u64,
    pub(crate) memtable_bytes: u64,
}

pub(crate) struct Store {
    states: Keyspace,
    /// Last, so that it closes after its keyspace.
    database: Database,
}

impl Store {
    pub(crate) fn open(path: &Path, bounds: Bounds) -> Result<Self, StateError> {
        let database = Database::builder(path)
            .cache_size(bounds.cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(bounds.memtable_bytes);
        let states = database.keyspace("states", options)?;
        Ok(Self { states, database })
    }

    /// Reads users' states; `None` where there is none. Filters in memory know almost every user
    /// who has none.
    pub(crate) fn read(
        &self,
        lane: Lane,
        users: &[UserId],
    ) -> Result<Vec<Option<fjall::UserValue>>, StateError> {
        let one = |user: &UserId| Ok(self.states.get(key(lane, STATE, *user))?);
        users.iter().map(one).collect()
    }

    /// Writes states, all of them or none.
    pub(crate) fn write(&self, lane: Lane, saved: Vec<Saved>) -> Result<(), StateError> {
        fail::fail_point!("state::before_write", |_| std::process::abort());
        let mut batch = self.database.batch();
        for Saved {
            user,
            state,
            spoilt,
            healed,
        } in saved
        {
            batch.insert(&self.states, key(lane, STATE, user), state);
            if spoilt {
                batch.insert(&self.states, key(lane, SPOILT, user), []);
            } else if healed {
                batch.remove(&self.states, key(lane, SPOILT, user));
            }
        }
        Ok(batch.commit()?)
    }

    /// Reads the marker of a lane, and the users whom no snapshot has in full.
    pub(crate) fn marker(
        &self,
        lane: Lane,
    ) -> Result<Option<(LaneSequence, Vec<UserId>)>, StateError> {
        let Some(value) = self.states.get(prefix(lane, MARKER))? else {
            return Ok(None);
        };
        let cut_off = || StateError::from("the marker is cut off");
        let (at, users) = value.split_first_chunk().ok_or_else(cut_off)?;
        let (users, rest) = users.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(cut_off());
        }
        let users = users.iter().map(|user| UserId(Uuid::from_bytes(*user)));
        let at = LaneSequence(u64::from_be_bytes(*at));
        Ok(Some((at, users.collect())))
    }

    /// Says that every event up to here is in the states written so far.
    pub(crate) fn mark(
        &self,
        lane: Lane,
        at: LaneSequence,
        not_in_snapshots: &[UserId],
    ) -> Result<(), StateError> {
        fail::fail_point!("state::before_marker", |_| std::process::abort());
        let mut value = Vec::with_capacity(8 + 16 * not_in_snapshots.len());
        value.extend_from_slice(&at.0.to_be_bytes());
        for user in not_in_snapshots {
            value.extend_from_slice(user.0.as_bytes());
        }
        Ok(self.states.insert(prefix(lane, MARKER), value)?)
    }

    /// Returns the users of a lane whose states were spoilt.
    pub(crate) fn spoilt(&self, lane: Lane) -> Result<Vec<UserId>, StateError> {
        let keys = self.states.prefix(prefix(lane, SPOILT));
        keys.map(|pair| user_of(&pair.key()?)).collect()
    }

    /// Whether there is a state of any user.
    pub(crate) fn has_states(&self, lane: Lane) -> Result<bool, StateError> {
        let first = self.states.prefix(prefix(lane, STATE)).next();
        Ok(first.map(fjall::Guard::key).transpose()?.is_some())
    }

    /// Removes all there is of a lane, the marker first: without it the rest is not believed.
    pub(crate) fn clear(&self, lane: Lane) -> Result<(), StateError> {
        self.states.remove(prefix(lane, MARKER))?;
        let mut keys = self.states.prefix(lane.0.to_be_bytes()).peekable();
        while keys.peek().is_some() {
            let mut batch = self.database.batch();
            for key in keys.by_ref().take(REMOVED_MAX) {
                batch.remove(&self.states, key.key()?);
            }
            batch.commit()?;
        }
        Ok(())
    }

    /// Makes everything durable that was written so far.
    pub(crate) fn sync(&self) -> Result<(), StateError> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

fn prefix(lane: Lane, kind: u8) -> [u8; 3] {
    let [high, low] = lane.0.to_be_bytes();
    [high, low, kind]
}

fn key(lane: Lane, kind: u8, user: UserId) -> [u8; 19] {
    let mut key = [0; 19];
    key[..3].copy_from_slice(&prefix(lane, kind));
    key[3..].copy_from_slice(user.0.as_bytes());
    key
}

fn user_of(key: &[u8]) -> Result<UserId, StateError> {
    let id = key.get(3..).and_then(|id| id.try_into().ok());
    let id = id.ok_or_else(|| StateError::from("a key is no user's"))?;
    Ok(UserId(Uuid::from_bytes(id)))
}
