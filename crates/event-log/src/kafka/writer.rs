//! A lane's writer, as its owner holds it.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Epoch, Lane};
use foldline_schema::{Event, NewEvent};
use rdkafka::message::{Header, OwnedHeaders};
use tokio::{sync::oneshot, time::timeout};

use super::{
    shared::Shared,
    transactions::{Failed, Outgoing},
    writing::{Job, Jobs, Kind, Opened},
};
use crate::{AppendError, Appended, Heads, LaneWriter, Source, batch};

/// How many times as long as a transaction an append may take: one may be before it, and the
/// client's own patience follows the time of day, which may be set back.
const APPEND_TIMEOUTS_MAX: u32 = 3;

pub(crate) struct KafkaWriter {
    shared: Arc<Shared>,
    lane: Lane,
    epoch: Epoch,
    heads: Heads,
    jobs: Arc<Jobs>,
    /// An append has no known outcome, or has failed: this writer is done.
    spent: bool,
}

impl KafkaWriter {
    pub(crate) fn new(shared: Arc<Shared>, lane: Lane, opened: Opened) -> Self {
        Self {
            shared,
            lane,
            epoch: opened.epoch,
            heads: opened.heads,
            jobs: opened.jobs,
            spent: false,
        }
    }

    fn unavailable(&self, source: impl Into<Source>) -> AppendError {
        AppendError::Unavailable {
            lane: self.lane,
            source: source.into(),
        }
    }

    fn outgoing(&self, context: usize, event: &Event) -> Outgoing {
        Outgoing {
            topic: Arc::clone(&self.shared.topics[context]),
            key: event.subject.to_string(),
            value: event.record.clone(),
            headers: Some(headers(event)),
        }
    }
}

#[async_trait]
impl LaneWriter for KafkaWriter {
    fn lane(&self) -> Lane {
        self.lane
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    async fn append(&mut self, batch: Vec<NewEvent>) -> Result<Appended, AppendError> {
        if self.spent {
            return Err(self.unavailable(
                "this writer's last append failed or has no known outcome; open another writer",
            ));
        }
        let topology = &self.shared.topology;
        let placed = batch::place(topology, self.lane, self.epoch, self.heads.clone(), batch)
            .map_err(|source| self.unavailable(source))?;
        let records = placed
            .events
            .iter()
            .map(|(context, event)| self.outgoing(*context, event))
            .collect();
        let (answer, outcome) = oneshot::channel();
        // From here on the batch may become durable, also when this future is dropped.
        self.spent = true;
        let job = Job {
            kind: Kind::Append,
            records,
            answer,
        };
        if self.jobs.try_send(job).is_err() {
            return Err(self.unavailable("the writer's thread has ended; open another writer"));
        }
        let append_max = self.shared.settings.transaction_timeout * APPEND_TIMEOUTS_MAX;
        let outcome = timeout(append_max, outcome).await;
        // Whoever opens the next writer fences the client that does not come back.
        let outcome = outcome.map_err(|elapsed| AppendError::Unknown {
            lane: self.lane,
            source: elapsed.into(),
        })?;
        match outcome {
            Ok(Ok(())) => {
                self.shared.reached(self.lane, &placed.heads);
                self.heads = placed.heads;
                self.spent = false;
                Ok(placed.appended)
            }
            Ok(Err(Failed::Fenced)) => Err(AppendError::Fenced {
                lane: self.lane,
                epoch: self.epoch,
            }),
            Ok(Err(Failed::Nothing(cause))) => Err(self.unavailable(cause)),
            Ok(Err(Failed::Unknown(cause))) => Err(AppendError::Unknown {
                lane: self.lane,
                source: cause.into(),
            }),
            // The thread ended over it.
            Err(gone) => Err(AppendError::Unknown {
                lane: self.lane,
                source: gone.into(),
            }),
        }
    }
}

/// What readers that do not look into the value need, as CloudEvents' binding names it.
fn headers(event: &Event) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(4)
        .insert(header("content-type", CONTENT_TYPE))
        .insert(header("ce_type", event.type_name.as_ref()))
        .insert(header("ce_id", event.id.to_string().as_str()));
    match event.extensions.get("traceparent") {
        Some(serde_json::Value::String(parent)) => {
            headers.insert(header("traceparent", parent.as_str()))
        }
        _ => headers,
    }
}

const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    let value = Some(value);
    Header { key, value }
}
