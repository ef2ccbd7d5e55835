//! The one call that goes past `rdkafka`: `rd_kafka_commit_transaction` itself.
//!
//! `rdkafka` flushes before it commits, in steps of 100 ms, so that its own `commit_transaction`
//! takes that long whenever a message is still on its way. librdkafka flushes by itself, and
//! takes half a millisecond.
#![allow(
    unsafe_code,
    reason = "no safe way leads to this function; it is called with a live client and its result is freed once"
)]

use std::ffi::CStr;

use rdkafka::{
    bindings::{
        rd_kafka_commit_transaction, rd_kafka_error_code, rd_kafka_error_destroy,
        rd_kafka_error_string,
    },
    producer::{NoCustomPartitioner, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};

/// Why a transaction was not committed, as far as librdkafka knows.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct CommitError {
    pub(crate) code: RDKafkaErrorCode,
    text: String,
}

/// Asks for what is left of the transaction's own time.
const REMAINING_TIME: i32 = -1;

/// Flushes and commits the open transaction, within its own timeout. It blocks.
///
/// The producer MUST have a thread of its own that polls it: the flush waits for its events to
/// be served.
///
/// # Errors
/// What librdkafka says; whether the transaction took place may then be unknown.
pub fn commit<C, P>(producer: &P) -> Result<(), CommitError>
where
    C: ProducerContext<NoCustomPartitioner>,
    P: Producer<C, NoCustomPartitioner>,
{
    // SAFETY: the producer is borrowed, so its client lives until the call returns. The error
    // belongs to the caller; it is read before it is destroyed, and destroyed once.
    unsafe {
        let error = rd_kafka_commit_transaction(producer.client().native_ptr(), REMAINING_TIME);
        if error.is_null() {
            return Ok(());
        }
        let told = CommitError {
            code: rd_kafka_error_code(error).into(),
            text: CStr::from_ptr(rd_kafka_error_string(error))
                .to_string_lossy()
                .into_owned(),
        };
        rd_kafka_error_destroy(error);
        Err(told)
    }
}
