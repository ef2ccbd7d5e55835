//! How far a reader of the log has come.

use serde::{Deserialize, Serialize};

use crate::{Context, Lane, LaneSequence, LogId, Sequence};

/// The last place of one lane that a reader has absorbed.
///
/// It carries the id of its log: a checkpoint of another log, or one beyond the tail, is corrupt
/// and never a reason to wait. An adapter's own cursor (a Kafka offset) travels beside the
/// sequences, because offsets have gaps and serve neither as positions nor as lag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log it belongs to.
    pub log_id: LogId,
    /// The lane it belongs to.
    pub lane: Lane,
    /// The last lane sequence absorbed (0: none).
    pub lane_sequence: LaneSequence,
    /// The last sequence absorbed in each followed context, in the order of the follow.
    pub sequences: Vec<(Context, Sequence)>,
    /// The adapter's own place, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Checkpoint {
    /// The place before the first event.
    pub fn beginning(log_id: LogId, lane: Lane) -> Self {
        Self {
            log_id,
            lane,
            lane_sequence: LaneSequence::ZERO,
            sequences: Vec::new(),
            cursor: None,
        }
    }

    /// Returns the last sequence absorbed of a context.
    pub fn sequence(&self, context: &Context) -> Sequence {
        self.sequences
            .iter()
            .find_map(|(known, sequence)| (known == context).then_some(*sequence))
            .unwrap_or_default()
    }

    /// Moves on to an event that has been absorbed.
    pub fn advance(&mut self, context: &Context, sequence: Sequence, lane_sequence: LaneSequence) {
        self.lane_sequence = lane_sequence;
        match self
            .sequences
            .iter_mut()
            .find(|(known, _)| known == context)
        {
            Some((_, last)) => *last = sequence,
            None => self.sequences.push((context.clone(), sequence)),
        }
    }
}
