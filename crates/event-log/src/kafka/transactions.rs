//! The transactions of one lane's writer, one after another: what fences, what is certain, and
//! what is not.
//!
//! What an error means for the records of its transaction:
//!
//! | where it failed | what is known | the writer's answer |
//! |---|---|---|
//! | begin | nothing was sent | unavailable |
//! | send, then aborted | the coordinator has decided: nothing | unavailable |
//! | send, abort failed too | a late commit of an earlier transaction might still take it along | unknown |
//! | commit, a record was not delivered, then aborted | the client sends no commit where a delivery failed, and the abort was decided | unavailable |
//! | commit, fenced | the coordinator may have committed before it fenced | fenced |
//! | commit, anything else (timed out, connection lost, state lost) | the request may have been carried out | unknown |
//!
//! Whatever the answer, this producer is not used again: a commit that is still on its way would
//! decide the next transaction in place of its own.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    error::KafkaError,
    message::OwnedHeaders,
    producer::{BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};

use super::{
    client::{Deliveries, Producer},
    commit,
};
use crate::Source;

/// How long an abort is waited for: it only makes certain what the next writer finds out anyway.
const ABORT_MAX: Duration = Duration::from_secs(1);

/// How long a full producer is given before it is asked again.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// A record to be written.
pub(crate) struct Outgoing {
    pub(crate) topic: Arc<str>,
    pub(crate) key: String,
    pub(crate) value: Bytes,
    pub(crate) headers: Option<OwnedHeaders>,
}

impl Outgoing {
    /// Tells whether it is too large for a record, with some room for what surrounds it.
    pub(crate) fn is_over(&self, bytes_max: u64) -> bool {
        (self.key.len() + self.value.len() + SURROUNDINGS_BYTES) as u64 > bytes_max
    }
}

/// What a record takes beside its key, value and headers, generously.
const SURROUNDINGS_BYTES: usize = 128;

/// Why a transaction did not take place, or perhaps did.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Fenced,
    /// It may have been committed.
    Unknown(Cause),
    /// It certainly was not, and will not be.
    Nothing(Cause),
}

/// The source of a failure that several hear of.
pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

impl Failed {
    pub(crate) fn unknown(source: impl Into<Source>) -> Self {
        Self::Unknown(source.into().into())
    }

    pub(crate) fn nothing(source: impl Into<Source>) -> Self {
        Self::Nothing(source.into().into())
    }
}

/// The transactional producer of a lane. Every call blocks.
pub(crate) struct Transactions {
    producer: Producer,
    partition: i32,
    timeout: Duration,
}

impl Transactions {
    /// Fences every earlier producer of the same id, once the connection is up: librdkafka looks
    /// for the coordinator only every half second. The first answer makes it replace the
    /// connection it began with by one that knows the broker's id, so it is asked twice.
    ///
    /// A transaction that was still open is aborted by this, and one that was being committed is
    /// waited for.
    pub(crate) fn fence(
        producer: Producer,
        topic: &str,
        partition: i32,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        for _ in 0..2 {
            producer.client().fetch_metadata(Some(topic), timeout)?;
        }
        producer.init_transactions(timeout)?;
        Ok(Self {
            producer,
            partition,
            timeout,
        })
    }

    /// Writes all records or none, and returns once they are committed.
    pub(crate) fn write(&self, records: Vec<Outgoing>, timestamp_ms: i64) -> Result<(), Failed> {
        let failed_before = self.producer.context().failed();
        fail::fail_point!("log::before_begin", |_| std::process::abort());
        self.producer.begin_transaction().map_err(|error| {
            if is_fenced(error.rdkafka_error_code()) {
                Failed::Fenced
            } else {
                Failed::nothing(error)
            }
        })?;
        fail::fail_point!("log::after_begin", |_| std::process::abort());
        for record in records {
            if let Err(error) = self.send(record, timestamp_ms) {
                return Err(self.abort(error));
            }
            fail::fail_point!("log::after_send", |_| std::process::abort());
        }
        fail::fail_point!("log::before_commit", |_| std::process::abort());
        let committed = commit::commit::<Deliveries, _>(&self.producer);
        fail::fail_point!("log::after_commit", |_| std::process::abort());
        committed.map_err(|error| {
            if is_fenced(Some(error.code)) {
                Failed::Fenced
            } else if self.producer.context().failed() > failed_before {
                self.abort(error)
            } else {
                Failed::unknown(error)
            }
        })
    }

    /// Hands a record to the client, which takes it once there is room for it.
    fn send(&self, record: Outgoing, timestamp_ms: i64) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.timeout;
        let mut outgoing = BaseRecord::to(&record.topic)
            .partition(self.partition)
            .key(&record.key)
            .payload(record.value.as_ref())
            .timestamp(timestamp_ms);
        outgoing.headers = record.headers;
        loop {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    outgoing = back;
                    std::thread::sleep(FULL_PAUSE);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn abort(&self, why: impl Into<Source>) -> Failed {
        match self.producer.abort_transaction(self.timeout.min(ABORT_MAX)) {
            Ok(()) => Failed::nothing(why),
            Err(error) if is_fenced(error.rdkafka_error_code()) => Failed::Fenced,
            Err(_) => Failed::unknown(why),
        }
    }
}

fn is_fenced(code: Option<RDKafkaErrorCode>) -> bool {
    matches!(
        code,
        Some(
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
        )
    )
}

#[cfg(test)]
mod tests;
