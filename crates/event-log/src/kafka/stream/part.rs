//! One partition that a stream reads: its queue, and the event that is next.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use foldline_kernel::{LaneSequence, Sequence};
use foldline_schema::decode;
use rdkafka::{
    Message, consumer::base_consumer::PartitionQueue, error::KafkaError, types::RDKafkaErrorCode,
};

use super::{Begin, Item, WAIT_MAX};
use crate::{
    Corruption, Source,
    kafka::{
        client::{Consumer, Logging},
        probe::Partition,
    },
};

/// One partition that is read.
pub(super) struct Part {
    pub(super) context: usize,
    pub(super) partition: Partition,
    queue: PartitionQueue<Logging>,
    /// There may be something in the queue.
    pub(super) filled: Arc<AtomicBool>,
    /// Whether nothing has come yet that was not to be skipped.
    skipping: bool,
    /// The next event, until it is its turn.
    pub(super) held: Option<Result<Item, Corruption>>,
    /// Where what has not been seen begins.
    pub(super) next_offset: i64,
    pub(super) next_sequence: Option<Sequence>,
    /// Why nothing more will come from here.
    pub(super) failed: Option<KafkaError>,
}

/// Wakes the stream's thread when a queue fills.
#[derive(Default)]
pub(super) struct Wake {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Part {
    pub(super) fn new(
        consumer: &Arc<Consumer>,
        context: usize,
        partition: Partition,
        begin: Begin,
        wake: &Arc<Wake>,
    ) -> Result<Self, Source> {
        let mut queue = consumer
            .split_partition_queue(&partition.topic, partition.number)
            .ok_or("a partition that is none")?;
        let filled = Arc::new(AtomicBool::new(true));
        let (wake, fills) = (Arc::clone(wake), Arc::clone(&filled));
        queue.set_nonempty_callback(move || {
            fills.store(true, Ordering::Release);
            wake.ring();
        });
        Ok(Self {
            context,
            partition,
            queue,
            filled,
            skipping: !begin.exact,
            held: None,
            next_offset: begin.offset,
            next_sequence: None,
            failed: None,
        })
    }

    /// Takes the next event from the queue, unless one is held.
    pub(super) fn fill(&mut self, after: LaneSequence) {
        while self.held.is_none() && self.filled.load(Ordering::Acquire) {
            // Cleared before the look, so that what comes after it sets it again.
            self.filled.store(false, Ordering::Release);
            match self.queue.poll(Duration::ZERO) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => return,
                Some(Err(error)) => {
                    self.trouble(error);
                    return;
                }
                Some(Ok(record)) => {
                    self.filled.store(true, Ordering::Release);
                    let offset = record.offset();
                    if offset < self.next_offset {
                        continue;
                    }
                    self.next_offset = offset + 1;
                    let value = Bytes::copy_from_slice(record.payload().unwrap_or_default());
                    drop(record);
                    self.hold(offset, value, after);
                }
            }
        }
    }

    fn hold(&mut self, offset: i64, value: Bytes, after: LaneSequence) {
        let held = match decode(value) {
            Ok(event) if self.skipping && event.lane_sequence <= after => return,
            Ok(event) => Ok(Item {
                context: self.context,
                offset,
                event: Arc::new(event),
            }),
            Err(error) => Err(Corruption::Envelope(error)),
        };
        self.skipping = false;
        self.held = Some(held);
    }

    fn trouble(&mut self, error: KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage) => {
                self.held = Some(Err(Corruption::Record(error.to_string())));
            }
            // Nothing is ever taken away from the topics by the log itself.
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                let gone = format!("`{}` has lost its beginning", self.partition.topic);
                self.held = Some(Err(Corruption::Record(gone)));
            }
            _ => self.failed = Some(error),
        }
    }
}

impl Wake {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    /// Waits for a ring; tells whether there was one.
    pub(super) fn wait(&self) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .bell
            .wait_timeout_while(rung, WAIT_MAX, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}
