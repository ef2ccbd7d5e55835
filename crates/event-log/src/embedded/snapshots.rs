//! Snapshots beside the records, in the same database.
//!
//! ```text
//!   snapshot  lane u16 │ 1 │ user 16   ->  crc32c u32 │ state
//!   marker    lane u16 │ 0             ->  crc32c u32 │ log id 16 │ lane sequence u64
//! ```
//!
//! Snapshots are not synced one by one: the journal keeps the order of writing, so the sync of
//! the marker covers every snapshot of its round.

use std::sync::Arc;

use async_trait::async_trait;
use fjall::PersistMode;
use foldline_kernel::{Lane, LaneSequence, LogId, UserId};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Embedded, record, shared::Shared};
use crate::{Snapshot, SnapshotError, SnapshotStore, Source, snapshots::SLICE_SNAPSHOTS};

const MARKER: u8 = 0;
const SNAPSHOT: u8 = 1;

#[async_trait]
impl SnapshotStore for Embedded {
    async fn put(&self, lane: Lane, snapshots: Vec<Snapshot>) -> Result<(), SnapshotError> {
        self.blocking(lane, move |shared| {
            let bytes = snapshots.iter().map(|snapshot| snapshot.state.len() as u64);
            check_room(shared, bytes.sum())?;
            let keyspace = &shared.store.snapshots;
            let mut batch = shared.store.database.batch();
            for Snapshot { user, state } in snapshots {
                let key = snapshot_key(lane, user);
                batch.insert(keyspace, key.clone(), sealed(&key, &state));
            }
            Ok(batch.commit()?)
        })
        .await
    }

    async fn end_round(
        &self,
        lane: Lane,
        log_id: LogId,
        replay_after: LaneSequence,
    ) -> Result<(), SnapshotError> {
        self.blocking(lane, move |shared| {
            fail::fail_point!("snapshot::mid", |_| std::process::abort());
            check_room(shared, 0)?;
            let mut marker = log_id.0.as_bytes().to_vec();
            marker.extend_from_slice(&replay_after.0.to_be_bytes());
            let key = key(lane, MARKER);
            let database = &shared.store.database;
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&shared.store.snapshots, key.clone(), sealed(&key, &marker));
            Ok(batch.commit()?)
        })
        .await
    }

    async fn load(
        &self,
        lane: Lane,
        log_id: LogId,
    ) -> Result<Option<(LaneSequence, Vec<Snapshot>)>, SnapshotError> {
        self.blocking(lane, move |shared| {
            let Some(replay_after) = marker(shared, lane, log_id)? else {
                return Ok(None);
            };
            let pairs = shared.store.snapshots.prefix(key(lane, SNAPSHOT));
            let snapshots = pairs.map(snapshot).collect::<Result<_, _>>()?;
            Ok(Some((replay_after, snapshots)))
        })
        .await
    }

    async fn load_in_slices(
        &self,
        lane: Lane,
        log_id: LogId,
        slices: mpsc::Sender<Vec<Snapshot>>,
    ) -> Result<Option<LaneSequence>, SnapshotError> {
        self.blocking(lane, move |shared| {
            let Some(replay_after) = marker(shared, lane, log_id)? else {
                return Ok(None);
            };
            let pairs = shared.store.snapshots.prefix(key(lane, SNAPSHOT));
            let mut snapshots = pairs.map(snapshot).peekable();
            while snapshots.peek().is_some() {
                let slice = snapshots.by_ref().take(SLICE_SNAPSHOTS);
                let slice = slice.collect::<Result<_, _>>()?;
                if slices.blocking_send(slice).is_err() {
                    break;
                }
            }
            Ok(Some(replay_after))
        })
        .await
    }
}

impl Embedded {
    /// Runs blocking work on the store beside the workers.
    async fn blocking<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Shared) -> Result<T, Source> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .unwrap_or_else(|ended| Err(ended.into()))
            .map_err(|source| SnapshotError { lane, source })
    }
}

/// Snapshots are disposable: they must not take the room that events need.
fn check_room(shared: &Shared, bytes: u64) -> Result<(), Source> {
    let directory = &shared.directory;
    Ok(directory.check_room(directory.room(), bytes)?)
}

fn snapshot(pair: fjall::Guard) -> Result<Snapshot, Source> {
    let (key, value) = pair.into_inner()?;
    record::verify(&key, &value)?;
    Ok(Snapshot {
        user: UserId(Uuid::from_slice(&key[3..])?),
        state: value[4..].to_vec(),
    })
}

/// Reads the marker of the last round that ended, if it is of this log.
fn marker(shared: &Shared, lane: Lane, log_id: LogId) -> Result<Option<LaneSequence>, Source> {
    let key = key(lane, MARKER);
    let Some(value) = shared.store.snapshots.get(&key)? else {
        return Ok(None);
    };
    record::verify(&key, &value)?;
    let marker = value[4..]
        .split_first_chunk::<16>()
        .and_then(|(of, at)| Some((of, u64::from_be_bytes(at.try_into().ok()?))));
    let Some((of, at)) = marker else {
        return Err("the marker is cut off".into());
    };
    Ok((Uuid::from_bytes(*of) == log_id.0).then_some(LaneSequence(at)))
}

fn key(lane: Lane, kind: u8) -> Vec<u8> {
    let [high, low] = lane.0.to_be_bytes();
    vec![high, low, kind]
}

fn snapshot_key(lane: Lane, user: UserId) -> Vec<u8> {
    let mut key = key(lane, SNAPSHOT);
    key.extend_from_slice(user.0.as_bytes());
    key
}

fn sealed(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut record = vec![0; 4];
    record.extend_from_slice(bytes);
    record::seal(key, &mut record);
    record
}
