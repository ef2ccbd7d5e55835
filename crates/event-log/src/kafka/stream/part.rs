//! One partition that a stream reads: its events, decoded, that wait for their turn.

use std::{collections::VecDeque, sync::Arc};

use foldline_kernel::{LaneSequence, Sequence};
use foldline_schema::decode;
use rdkafka::error::KafkaError;

use super::{
    Begin, Item,
    fetch::{Record, Run, Trouble},
};
use crate::{Corruption, kafka::probe::Partition};

/// One partition that is read.
pub(super) struct Part {
    pub(super) context: usize,
    pub(super) partition: Partition,
    /// Whether nothing has come yet that was not to be skipped.
    skipping: bool,
    /// In order; nothing comes after what is no event.
    held: VecDeque<Result<Item, Corruption>>,
    /// Where what has not been seen begins.
    pub(super) next_offset: i64,
    pub(super) next_sequence: Option<Sequence>,
    /// Why nothing more will come from here.
    pub(super) failed: Option<KafkaError>,
}

impl Part {
    pub(super) fn new(context: usize, partition: Partition, begin: Begin) -> Self {
        Self {
            context,
            partition,
            skipping: !begin.exact,
            held: VecDeque::new(),
            next_offset: begin.offset,
            next_sequence: None,
            failed: None,
        }
    }

    /// Decodes what has come; returns how many bytes of it are not to be merged.
    pub(super) fn take(&mut self, run: Run, after: LaneSequence) -> usize {
        let mut dropped = 0;
        for record in run.records {
            let bytes = record.1.len();
            if !self.hold(record, after) {
                dropped += bytes;
            }
        }
        match run.trouble {
            Some(Trouble::Corrupt(corruption)) => self.held.push_back(Err(corruption)),
            Some(Trouble::Failed(error)) => self.failed = Some(error),
            None => {}
        }
        dropped
    }

    fn hold(&mut self, (offset, value): Record, after: LaneSequence) -> bool {
        self.next_offset = offset + 1;
        if matches!(self.held.back(), Some(Err(_))) {
            return false;
        }
        let held = match decode(value) {
            Ok(event) if self.skipping && event.lane_sequence <= after => return false,
            Ok(event) => Ok(Item {
                context: self.context,
                offset,
                event: Arc::new(event),
            }),
            Err(error) => Err(Corruption::Envelope(error)),
        };
        self.skipping = false;
        let is_event = held.is_ok();
        self.held.push_back(held);
        is_event
    }

    /// Returns what comes next, if anything has come.
    pub(super) fn next(&self) -> Option<Result<&Item, &Corruption>> {
        self.held.front().map(Result::as_ref)
    }

    pub(super) fn take_next(&mut self) -> Option<Result<Item, Corruption>> {
        self.held.pop_front()
    }
}
