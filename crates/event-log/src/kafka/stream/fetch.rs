//! Takes the records of a stream's partitions from the client, on a thread of its own: the one
//! that decodes them never waits for the client, and has whole runs of them at a time.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message, consumer::base_consumer::PartitionQueue, error::KafkaError, types::RDKafkaErrorCode,
};

use crate::{
    Corruption, Source,
    kafka::{
        client::{Consumer, Logging},
        probe::Partition,
    },
};

/// How many bytes of records of one partition wait to be merged at most.
const WAITING_BYTES_MAX: usize = 512 << 10;
/// How many bytes a run has at most, beyond its first record.
const RUN_BYTES_MAX: usize = 64 << 10;

/// How long a wait for records takes before the client's own events are served.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// A record's offset and value.
pub(super) type Record = (i64, Bytes);

/// Records of one partition, in their order.
pub(super) struct Run {
    /// Which partition, of those that are read.
    pub(super) part: usize,
    pub(super) records: Vec<Record>,
    /// What came after them instead of a record.
    pub(super) trouble: Option<Trouble>,
}

/// What came in place of a record.
pub(super) enum Trouble {
    /// A record that is damaged, or gone.
    Corrupt(Corruption),
    /// Nothing more will come from here.
    Failed(KafkaError),
}

/// What the two threads of a stream share.
#[derive(Default)]
pub(super) struct Link {
    /// Per partition how many bytes of records wait to be merged.
    waiting: Vec<AtomicUsize>,
    wake: Wake,
    ended: AtomicBool,
}

impl Link {
    pub(super) fn new(parts: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: (0..parts).map(|_| AtomicUsize::new(0)).collect(),
            ..Self::default()
        })
    }

    /// Says that a record has been merged.
    pub(super) fn merged(&self, part: usize, bytes: usize) {
        let before = self.waiting[part].fetch_sub(bytes, Ordering::AcqRel);
        let half = WAITING_BYTES_MAX / 2;
        if before > half && before - bytes <= half {
            self.wake.ring();
        }
    }

    /// Says that nobody takes records any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake.ring();
    }

    fn is_full(&self, part: usize) -> bool {
        self.waiting[part].load(Ordering::Acquire) >= WAITING_BYTES_MAX
    }
}

/// Wakes a thread, once for all rings since it last waited.
#[derive(Default)]
struct Wake {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wake {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    /// Waits for a ring; tells whether there was one.
    fn wait(&self) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .bell
            .wait_timeout_while(rung, WAIT_MAX, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}

/// The thread's own.
pub(super) struct Fetcher {
    // Their queues go before the consumer.
    queues: Vec<Queue>,
    consumer: Arc<Consumer>,
    link: Arc<Link>,
    runs: SyncSender<Run>,
}

/// The records of one partition, as the client has them.
struct Queue {
    queue: PartitionQueue<Logging>,
    /// There may be something in the queue.
    filled: Arc<AtomicBool>,
    next_offset: i64,
    /// How much the last run had, as the next one may.
    last_run_bytes: usize,
    topic: Arc<str>,
}

impl Fetcher {
    /// Prepares to take what the client will read of some partitions, each from an offset on.
    pub(super) fn new(
        consumer: Arc<Consumer>,
        partitions: &[(Partition, i64)],
        link: Arc<Link>,
        runs: SyncSender<Run>,
    ) -> Result<Self, Source> {
        let queues = partitions
            .iter()
            .map(|(partition, offset)| Queue::new(&consumer, partition, *offset, &link))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            queues,
            consumer,
            link,
            runs,
        })
    }

    /// Takes records until nobody wants them; an error that ends the client ends each partition.
    pub(super) fn run(mut self) {
        while !self.link.ended.load(Ordering::Acquire) {
            let mut taken = false;
            for (part, queue) in self.queues.iter_mut().enumerate() {
                if self.link.is_full(part) {
                    continue;
                }
                let Some(run) = queue.take(part) else {
                    continue;
                };
                taken = true;
                let bytes = run.records.iter().map(|(_, value)| value.len()).sum();
                self.link.waiting[part].fetch_add(bytes, Ordering::AcqRel);
                if self.runs.send(run).is_err() {
                    return;
                }
            }
            if let Some(trouble) = self.serve() {
                let records = Vec::new();
                let trouble = Some(trouble);
                let _ = self.runs.send(Run {
                    part: 0,
                    records,
                    trouble,
                });
                return;
            }
            if !taken && !self.link.wake.wait() {
                // Nothing was heard of; whoever has missed a ring looks now.
                for queue in &self.queues {
                    queue.filled.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Serves the client's own events; trouble with the cluster is its to mend.
    fn serve(&self) -> Option<Trouble> {
        match self.consumer.poll(Duration::ZERO) {
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                Some(Trouble::Failed(error))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "kafka consumer");
                None
            }
            Some(Ok(_)) | None => None,
        }
    }
}

impl Queue {
    fn new(
        consumer: &Arc<Consumer>,
        partition: &Partition,
        next_offset: i64,
        link: &Arc<Link>,
    ) -> Result<Self, Source> {
        let mut queue = consumer
            .split_partition_queue(&partition.topic, partition.number)
            .ok_or("a partition that is none")?;
        let filled = Arc::new(AtomicBool::new(true));
        let (link, fills) = (Arc::clone(link), Arc::clone(&filled));
        queue.set_nonempty_callback(move || {
            fills.store(true, Ordering::Release);
            link.wake.ring();
        });
        Ok(Self {
            queue,
            filled,
            next_offset,
            last_run_bytes: 0,
            topic: Arc::clone(&partition.topic),
        })
    }

    /// Takes what lies in the queue, up to a bound; none where nothing does.
    fn take(&mut self, part: usize) -> Option<Run> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        // Cleared before the look, so that what comes after it sets it again.
        self.filled.store(false, Ordering::Release);
        let mut places = Vec::new();
        // One piece of memory for the whole run: its records go the same way at the same time.
        let (mut bytes, mut trouble) = (BytesMut::new(), None);
        while bytes.len() < RUN_BYTES_MAX && trouble.is_none() {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => trouble = Some(told(&self.topic, error)),
                Some(Ok(record)) => {
                    let offset = record.offset();
                    if offset < self.next_offset {
                        continue;
                    }
                    self.next_offset = offset + 1;
                    let value = record.payload().unwrap_or_default();
                    if places.is_empty() {
                        bytes.reserve(self.last_run_bytes.max(value.len()));
                    }
                    let begin = bytes.len();
                    bytes.extend_from_slice(value);
                    places.push((offset, begin..bytes.len()));
                }
            }
        }
        if bytes.len() >= RUN_BYTES_MAX {
            self.filled.store(true, Ordering::Release);
        }
        self.last_run_bytes = bytes.len();
        let bytes = bytes.freeze();
        let value = |(offset, place)| (offset, bytes.slice(place));
        let records: Vec<Record> = places.into_iter().map(value).collect();
        let any = !records.is_empty() || trouble.is_some();
        any.then_some(Run {
            part,
            records,
            trouble,
        })
    }
}

fn told(topic: &str, error: KafkaError) -> Trouble {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage) => {
            Trouble::Corrupt(Corruption::Record(error.to_string()))
        }
        // Nothing is ever taken away from the topics by the log itself.
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            let gone = format!("`{topic}` has lost its beginning");
            Trouble::Corrupt(Corruption::Record(gone))
        }
        _ => Trouble::Failed(error),
    }
}
