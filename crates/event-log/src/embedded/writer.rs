//! A lane's writer: gives places and encodes on the caller's task, then hands over to the
//! committer.
//!
//! Encoding here keeps the one committer thread to what must be in one order, and lanes encode
//! side by side. It is sound because a writer is the only one of its epoch and has one append
//! under way at a time; the committer checks both before it writes.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Epoch, Lane};
use foldline_schema::{Event, NewEvent};
use tokio::sync::{mpsc, oneshot};

use super::{
    committer::{Append, Request},
    record::{self, LaneState},
    shared::Shared,
};
use crate::{AppendError, Appended, Heads, LaneWriter, Source, batch};

pub(crate) struct EmbeddedWriter {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    lane: Lane,
    epoch: Epoch,
    heads: Heads,
    /// An append has no known outcome, so `heads` may be behind the lane.
    unsettled: bool,
}

impl EmbeddedWriter {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Sender<Request>,
        lane: Lane,
        state: LaneState,
    ) -> Self {
        Self {
            shared,
            requests,
            lane,
            epoch: state.epoch,
            heads: state.heads,
            unsettled: false,
        }
    }

    fn unavailable(&self, source: impl Into<Source>) -> AppendError {
        AppendError::Unavailable {
            lane: self.lane,
            source: source.into(),
        }
    }

    /// Gives every event of a batch its place and its bytes.
    fn place(&self, batch: Vec<NewEvent>) -> Result<(Append, Appended, Outcome), Source> {
        let topology = &self.shared.topology;
        let placed = batch::place(topology, self.lane, self.epoch, self.heads.clone(), batch)?;
        let (answer, outcome) = oneshot::channel();
        let mut append = Append {
            lane: self.lane,
            epoch: self.epoch,
            records: Vec::with_capacity(placed.events.len()),
            bytes: 0,
            events: Vec::with_capacity(placed.events.len()),
            heads: placed.heads,
            answer,
        };
        for (context, event) in placed.events {
            append.add(context, event);
        }
        Ok((append, placed.appended, outcome))
    }
}

type Outcome = oneshot::Receiver<Result<(), AppendError>>;

impl Append {
    fn add(&mut self, context: usize, event: Event) {
        let key = record::key(self.lane, event.lane_sequence);
        let record = record::encode(&key, context, event.sequence, &event.record);
        self.bytes += record.len();
        self.records.push((key.into(), record.into()));
        self.events.push((context, Arc::new(event)));
    }
}

#[async_trait]
impl LaneWriter for EmbeddedWriter {
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
        if self.unsettled {
            return Err(self.unavailable(
                "the outcome of this writer's last append is not known; open another writer",
            ));
        }
        let (append, appended, outcome) = self
            .place(batch)
            .map_err(|source| self.unavailable(source))?;
        let heads = append.heads.clone();
        let Ok(place) = self.requests.reserve().await else {
            let closed = self.shared.close("the committer ended");
            return Err(self.unavailable(closed));
        };
        // From here on the batch may become durable, also when this future is dropped.
        self.unsettled = true;
        place.send(Request::Append(append));
        match outcome.await {
            Ok(Ok(())) => {
                self.heads = heads;
                self.unsettled = false;
                Ok(appended)
            }
            Ok(Err(error)) => {
                // Certainly nothing was appended: this writer may go on.
                self.unsettled = !matches!(error, AppendError::Unavailable { .. });
                Err(error)
            }
            Err(gone) => Err(AppendError::Unknown {
                lane: self.lane,
                source: gone.into(),
            }),
        }
    }
}
