//! Reads single records, at either end of partitions or from a place on.
//!
//! Offsets have gaps: a marker after each transaction, the records of those that were aborted,
//! and what compaction took away. So the last record is looked for backwards in growing steps,
//! and "from a place on" is the next record there is.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer as _, base_consumer::PartitionQueue},
    error::KafkaError,
    types::RDKafkaErrorCode,
};

use super::client::{Clients, Consumer, Logging, Reading};
use crate::Source;

/// How many probes work at once; the others wait their turn.
pub(crate) const PROBES_MAX: usize = 8;

/// How far before the end the last record is looked for, step by step; beyond that from the
/// beginning.
const STEPS_BACK: [i64; 4] = [2, 64, 2048, 65536];

/// How long one look at a queue waits, so that client events are served meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// How long a leader that is changing is given between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<str>,
    pub(crate) number: i32,
}

/// A record as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) value: Bytes,
}

/// Consumers kept for probing, made when they are first needed.
pub(crate) struct Probes {
    clients: Clients,
    timeout: Duration,
    state: Mutex<State>,
    returned: Condvar,
    /// Tells what is written, committed or not.
    uncommitted: Mutex<Option<Consumer>>,
}

#[derive(Default)]
struct State {
    idle: Vec<Probe>,
    out: usize,
}

/// One consumer at work.
pub(crate) struct Probe {
    // Before the consumer, which they need to the end.
    queues: HashMap<Partition, PartitionQueue<Logging>>,
    consumer: Arc<Consumer>,
    timeout: Duration,
}

impl Probes {
    pub(crate) fn new(clients: Clients, timeout: Duration) -> Self {
        Self {
            clients,
            timeout,
            state: Mutex::default(),
            returned: Condvar::new(),
            uncommitted: Mutex::default(),
        }
    }

    /// Works with a probe, when it is the caller's turn. It blocks.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Probe) -> Result<T, Source>,
    ) -> Result<T, Source> {
        let idle = self.turn();
        let _turn = Turn(self);
        let mut probe = match idle {
            Some(probe) => probe,
            None => Probe {
                queues: HashMap::new(),
                consumer: Arc::new(self.clients.consumer(Reading::Places, true)?),
                timeout: self.timeout,
            },
        };
        let worked = work(&mut probe);
        // One that failed may still be getting what was asked of it.
        if worked.is_ok() {
            self.lock().idle.push(probe);
        }
        worked
    }

    fn turn(&self) -> Option<Probe> {
        let mut state = self.lock();
        while state.out >= PROBES_MAX {
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.out += 1;
        state.idle.pop()
    }

    /// Returns where each partition ends, records that are not committed yet included.
    pub(crate) fn written(&self, partitions: &[Partition]) -> Result<Vec<i64>, Source> {
        let mut uncommitted = self
            .uncommitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if uncommitted.is_none() {
            *uncommitted = Some(self.clients.consumer(Reading::Places, false)?);
        }
        let consumer = uncommitted.as_ref().expect("it was made just above");
        ends(consumer, partitions, self.timeout)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a turn back, whatever became of it.
struct Turn<'a>(&'a Probes);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().out -= 1;
        self.0.returned.notify_one();
    }
}

impl Probe {
    /// Returns where each partition ends for those who read what is committed.
    pub(crate) fn ends(&self, partitions: &[Partition]) -> Result<Vec<i64>, Source> {
        ends(&self.consumer, partitions, self.timeout)
    }

    /// Returns the first record of each partition from an offset on, if there is one.
    pub(crate) fn first_from(
        &mut self,
        places: &[(Partition, i64)],
    ) -> Result<Vec<Option<Found>>, Source> {
        let mut found = vec![None; places.len()];
        self.read(places, |index, record| {
            found[index] = Some(record);
            false
        })?;
        Ok(found)
    }

    /// Returns the last record of each partition before its end, if there is one.
    pub(crate) fn last_before(
        &mut self,
        ends: &[(Partition, i64)],
    ) -> Result<Vec<Option<Found>>, Source> {
        let mut found: Vec<Option<Found>> = vec![None; ends.len()];
        for step in STEPS_BACK.into_iter().map(Some).chain([None]) {
            let back = |end: i64| step.map_or(0, |step| (end - step).max(0));
            let missing: Vec<usize> = (0..ends.len())
                .filter(|&index| found[index].is_none() && ends[index].1 > 0)
                // Nothing lies before the beginning.
                .filter(|&index| !looked_through(ends[index].1, step))
                .collect();
            if missing.is_empty() {
                continue;
            }
            let places: Vec<_> = missing
                .iter()
                .map(|&index| (ends[index].0.clone(), back(ends[index].1)))
                .collect();
            self.read(&places, |place, record| {
                let index = missing[place];
                let end = ends[index].1;
                let more = record.offset < end - 1;
                if record.offset < end {
                    found[index] = Some(record);
                }
                more
            })?;
        }
        Ok(found)
    }

    /// Returns every record of a partition before its end, in order.
    pub(crate) fn all(&mut self, partition: &Partition) -> Result<Vec<Found>, Source> {
        let end = self.ends(std::slice::from_ref(partition))?[0];
        let mut found = Vec::new();
        if end > 0 {
            self.read(&[(partition.clone(), 0)], |_, record| {
                let more = record.offset < end - 1;
                found.push(record);
                more
            })?;
        }
        Ok(found)
    }

    /// Reads partitions from offsets on, each until `take` wants no more of it or it ends.
    fn read(
        &mut self,
        places: &[(Partition, i64)],
        mut take: impl FnMut(usize, Found) -> bool,
    ) -> Result<(), Source> {
        let deadline = Instant::now() + self.timeout;
        self.assign(places)?;
        for (index, (partition, offset)) in places.iter().enumerate() {
            let queue = &self.queues[partition];
            loop {
                // Serves the client's own events.
                if let Some(Err(error)) = self.consumer.poll(Duration::ZERO) {
                    tracing::debug!(%error, "kafka probe");
                }
                match queue.poll(LOOK) {
                    Some(Ok(record)) => {
                        if record.offset() < *offset {
                            continue;
                        }
                        let found = Found {
                            offset: record.offset(),
                            value: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
                        };
                        if !take(index, found) {
                            break;
                        }
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => break,
                    Some(Err(error)) if !is_passing(&error) => return Err(error.into()),
                    Some(Err(_)) | None if Instant::now() > deadline => {
                        return Err(format!(
                            "nothing came of {}/{} from offset {offset} on within {:?}",
                            partition.topic, partition.number, self.timeout
                        )
                        .into());
                    }
                    Some(Err(_)) | None => {}
                }
            }
        }
        self.consumer.unassign()?;
        Ok(())
    }

    /// Assigns places. Each partition has a queue of its own, so that its end can be told from
    /// that of another topic's partition of the same number; it is split off before the client
    /// hears of it, or the first records might go elsewhere.
    fn assign(&mut self, places: &[(Partition, i64)]) -> Result<(), Source> {
        let mut assignment = TopicPartitionList::with_capacity(places.len());
        for (partition, offset) in places {
            if !self.queues.contains_key(partition) {
                let queue = self
                    .consumer
                    .split_partition_queue(&partition.topic, partition.number)
                    .ok_or("a partition that is none")?;
                self.queues.insert(partition.clone(), queue);
            }
            let at = Offset::Offset(*offset);
            assignment.add_partition_offset(&partition.topic, partition.number, at)?;
        }
        self.consumer.assign(&assignment)?;
        Ok(())
    }
}

/// Tells whether the step before this one already began at the beginning.
fn looked_through(end: i64, step: Option<i64>) -> bool {
    let before = match step {
        None => STEPS_BACK.last().copied(),
        Some(step) => STEPS_BACK
            .iter()
            .take_while(|&&known| known < step)
            .last()
            .copied(),
    };
    before.is_some_and(|before| end <= before)
}

/// Asks for the end of each partition, again while its leader is changing.
fn ends(
    consumer: &Consumer,
    partitions: &[Partition],
    timeout: Duration,
) -> Result<Vec<i64>, Source> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask_ends(consumer, partitions, left) {
            Ok(ends) => return Ok(ends),
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn ask_ends(
    consumer: &Consumer,
    partitions: &[Partition],
    timeout: Duration,
) -> Result<Vec<i64>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition_offset(&partition.topic, partition.number, Offset::End)?;
    }
    let told = consumer.offsets_for_times(asked, timeout)?;
    let not_told = || KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition);
    let end = |partition: &Partition| {
        let element = told.find_partition(&partition.topic, partition.number);
        let element = element.ok_or_else(not_told)?;
        element.error()?;
        match element.offset() {
            Offset::Offset(end) => Ok(end),
            _ => Err(not_told()),
        }
    };
    partitions.iter().map(end).collect()
}

/// Tells whether an error passes by itself: a topic has just been made, or a leader is changing.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
        )
    )
}
