//! Snapshots in a compacted topic, written by the lane's own writer.
//!
//! ```text
//!   {prefix}snapshots/3    user 7 │ user 9 │ marker 5230 │ user 7 │ …
//! ```
//!
//! They go through the lane's transactions, so that a writer that has been replaced can no more
//! overwrite a newer snapshot with an older one than it can append: its successor's marker would
//! have the events in between skipped. They ride with an append where one comes soon.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use foldline_kernel::{Lane, LaneSequence, LogId, UserId};
use rdkafka::{
    Message, Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError,
    message::BorrowedMessage,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::{
    KafkaLog,
    client::Reading,
    shared::Shared,
    topics::partition,
    transactions::{Failed, Outgoing},
    writing::{Job, Kind},
};
use crate::{Snapshot, SnapshotError, SnapshotStore, Source, snapshots::SLICE_SNAPSHOTS};

const FORMAT: u64 = 1;

/// The key of the marker; those of snapshots are users' ids.
const MARKER: &str = "marker";

/// How long one look for records waits.
const LOOK: Duration = Duration::from_millis(100);

/// The record that ends a round. These names are on disk: they stay as they are.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u64,
    log_id: LogId,
    replay_after: LaneSequence,
}

#[async_trait]
impl SnapshotStore for KafkaLog {
    async fn put(&self, lane: Lane, snapshots: Vec<Snapshot>) -> Result<(), SnapshotError> {
        let records = snapshots
            .into_iter()
            .map(|Snapshot { user, state }| self.shared.snapshot_record(user.to_string(), state))
            .collect();
        self.ride(lane, records).await
    }

    async fn end_round(
        &self,
        lane: Lane,
        log_id: LogId,
        replay_after: LaneSequence,
    ) -> Result<(), SnapshotError> {
        fail::fail_point!("snapshot::mid", |_| std::process::abort());
        let marker = Marker {
            format: FORMAT,
            log_id,
            replay_after,
        };
        let value = serde_json::to_vec(&marker).expect("a marker is plain JSON");
        let record = self.shared.snapshot_record(MARKER.to_owned(), value);
        self.ride(lane, vec![record]).await
    }

    async fn load(
        &self,
        lane: Lane,
        log_id: LogId,
    ) -> Result<Option<(LaneSequence, Vec<Snapshot>)>, SnapshotError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            shared.check_lane(lane)?;
            let mut loaded = Loaded::default();
            read(&shared, lane, &mut |record| {
                loaded.take(record)?;
                Ok(true)
            })?;
            Ok(loaded.of_log(log_id))
        })
        .await
        .unwrap_or_else(|ended| Err(ended.into()))
        .map_err(|source| SnapshotError { lane, source })
    }

    async fn load_in_slices(
        &self,
        lane: Lane,
        log_id: LogId,
        slices: mpsc::Sender<Vec<Snapshot>>,
    ) -> Result<Option<LaneSequence>, SnapshotError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            shared.check_lane(lane)?;
            let mut loaded = Loaded::default();
            read(&shared, lane, &mut |record| {
                loaded.take(record)?;
                let is_full = loaded.snapshots.len() >= SLICE_SNAPSHOTS;
                Ok(!is_full || slices.blocking_send(loaded.slice()).is_ok())
            })?;
            // Who does not listen any more has no use for the marker either.
            let _ = slices.blocking_send(loaded.slice());
            Ok(loaded.of_log(log_id).map(|(marker, _)| marker))
        })
        .await
        .unwrap_or_else(|ended| Err(ended.into()))
        .map_err(|source| SnapshotError { lane, source })
    }
}

impl KafkaLog {
    /// Has the lane's writer write records in one of its transactions.
    async fn ride(&self, lane: Lane, records: Vec<Outgoing>) -> Result<(), SnapshotError> {
        let unavailable = |source: Source| SnapshotError { lane, source };
        if records.is_empty() {
            return Ok(());
        }
        self.shared.check_lane(lane).map_err(unavailable)?;
        let bytes_max = self.shared.settings.record_bytes_max();
        if let Some(large) = records.iter().find(|record| record.is_over(bytes_max)) {
            let text = format!("a snapshot of {} bytes takes no record", large.value.len());
            return Err(unavailable(text.into()));
        }
        let writer = self.shared.writer(lane);
        let writer = writer.ok_or("only the lane's writer writes its snapshots");
        let writer = writer.map_err(|text| unavailable(text.into()))?;
        let (answer, outcome) = oneshot::channel();
        let job = Job {
            kind: Kind::Snapshots,
            records,
            answer,
        };
        let sent = writer.try_send(job);
        sent.map_err(|_| unavailable("the lane's writer takes no more".into()))?;
        // Held no longer, so that the thread ends with its writer.
        drop(writer);
        match outcome.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failed::Fenced)) => Err(unavailable("the lane's writer was replaced".into())),
            Ok(Err(Failed::Unknown(cause) | Failed::Nothing(cause))) => {
                Err(unavailable(cause.into()))
            }
            Err(gone) => Err(unavailable(gone.into())),
        }
    }
}

impl Shared {
    fn snapshot_record(&self, key: String, value: Vec<u8>) -> Outgoing {
        Outgoing {
            topic: Arc::clone(&self.names.snapshots),
            key,
            value: value.into(),
            headers: None,
        }
    }
}

/// Everything in a lane's partition: of each key the last record.
#[derive(Default)]
struct Loaded {
    marker: Option<Marker>,
    snapshots: BTreeMap<UserId, Vec<u8>>,
}

impl Loaded {
    fn take(&mut self, record: &BorrowedMessage<'_>) -> Result<(), Source> {
        let value = record.payload().unwrap_or_default();
        match std::str::from_utf8(record.key().unwrap_or_default())? {
            MARKER => self.marker = Some(serde_json::from_slice(value)?),
            user => {
                self.snapshots.insert(user.parse()?, value.to_vec());
            }
        }
        Ok(())
    }

    /// Takes out what has come, each user once.
    fn slice(&mut self) -> Vec<Snapshot> {
        let snapshots = std::mem::take(&mut self.snapshots).into_iter();
        snapshots
            .map(|(user, state)| Snapshot { user, state })
            .collect()
    }

    fn of_log(mut self, log_id: LogId) -> Option<(LaneSequence, Vec<Snapshot>)> {
        let is_known = |marker: &Marker| marker.format == FORMAT && marker.log_id == log_id;
        let marker = self.marker.take().filter(is_known)?;
        Some((marker.replay_after, self.slice()))
    }
}

/// Reads a lane's partition to its end, unless whoever takes the records says that it is enough.
/// It blocks.
fn read(
    shared: &Shared,
    lane: Lane,
    take: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<bool, Source>,
) -> Result<(), Source> {
    let from = partition(&shared.names.snapshots, lane);
    let end = shared
        .probes
        .with(|probe| probe.ends(std::slice::from_ref(&from)))?[0];
    if end == 0 {
        return Ok(());
    }
    let consumer = shared.clients.consumer(Reading::Streams, true)?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&from.topic, from.number, Offset::Offset(0))?;
    consumer.assign(&assignment)?;
    let timeout = shared.settings.request_timeout;
    let mut heard = Instant::now();
    loop {
        match consumer.poll(LOOK) {
            Some(Ok(record)) => {
                if !take(&record)? {
                    return Ok(());
                }
                // Whoever takes them may take a while.
                heard = Instant::now();
            }
            // The only partition, so that it is this one's end.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) if heard.elapsed() > timeout => return Err(error.into()),
            None if heard.elapsed() > timeout => {
                return Err(format!("nothing came within {timeout:?}").into());
            }
            Some(Err(_)) | None => {}
        }
    }
}
