//! A lane's writer: gives places and encodes on the caller's task, then hands over to the
//! committer.
//!
//! Encoding here keeps the one committer thread to what must be in one order, and lanes encode
//! side by side. It is sound because a writer is the only one of its epoch and has one append
//! under way at a time; the committer checks both before it writes.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Epoch, Lane};
use foldline_schema::{NewEvent, Stamp, encode};
use tokio::sync::{mpsc, oneshot};

use super::{
    committer::{Append, Request},
    record::{self, LaneState},
    shared::Shared,
};
use crate::{AppendError, Appended, Heads, LaneWriter, Source, continuity::Parts};

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
        let (answer, outcome) = oneshot::channel();
        let mut append = Append {
            lane: self.lane,
            epoch: self.epoch,
            records: Vec::with_capacity(batch.len()),
            bytes: 0,
            events: Vec::with_capacity(batch.len()),
            heads: self.heads.clone(),
            answer,
        };
        let mut appended = Appended::default();
        let mut parts = Parts::default();
        for new in batch {
            let context = self.shared.context(&new.context)?;
            if self.shared.topology.lane_of(new.subject) != self.lane {
                return Err(format!("user {} belongs to another lane", new.subject).into());
            }
            parts.admit(&new.command_id, new.command_part, true)?;
            append.place(context, self.shared.topology.name.clone(), new);
            appended.sequences.push(append.heads.sequences[context]);
        }
        parts.at_end()?;
        appended.lane_sequence = append.heads.lane_sequence;
        Ok((append, appended, outcome))
    }
}

type Outcome = oneshot::Receiver<Result<(), AppendError>>;

impl Append {
    fn place(&mut self, context: usize, log_name: foldline_kernel::Context, new: NewEvent) {
        let (lane_sequence, sequence) = (
            self.heads.lane_sequence.next(),
            self.heads.sequences[context].next(),
        );
        self.heads.lane_sequence = lane_sequence;
        self.heads.sequences[context] = sequence;
        let stamp = Stamp {
            sequence,
            lane_sequence,
            epoch: self.epoch,
        };
        let event = encode(&log_name, new, stamp);
        let key = record::key(self.lane, lane_sequence);
        let record = record::encode(&key, context, sequence, &event.record);
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
