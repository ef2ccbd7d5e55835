//! How a batch whose sums overflow, or might, is taken apart.

use foldline_tables::{Batch, Parked};

use crate::{assembly::Limits, settings::Settings};

/// The size of batches: ordinary, or cut down until the event that overflows stands alone.
///
/// A change of several events is refused wherever *some* order of them could overflow. So a
/// batch that was refused is read again in halves, down to single events: applied alone, an event
/// overflows or it does not, whatever the batches were before. After each success the batches
/// double again.
#[derive(Debug, Default)]
pub(crate) struct Care {
    events_max: Option<usize>,
}

impl Care {
    /// Returns how many events a chunk may have.
    pub(crate) fn pace(&self, settings: &Settings) -> usize {
        let ordinary = settings.chunk_events_max.max(1);
        self.events_max.map_or(ordinary, |most| most.min(ordinary))
    }

    /// Returns how far a batch may grow.
    pub(crate) fn limits(&self, settings: &Settings, loading: bool) -> Limits {
        let events = if loading {
            settings.load_events_max
        } else {
            settings.batch_events_max
        };
        Limits {
            chunks: self.events_max.map_or(usize::MAX, |_| 1),
            events,
            bytes: settings.batch_bytes_max,
        }
    }

    /// A batch of so many events was refused.
    pub(crate) fn overflowed(&mut self, events: usize) {
        self.events_max = Some((events / 2).max(1));
    }

    /// A batch was committed.
    pub(crate) fn succeeded(&mut self, settings: &Settings) {
        self.events_max = self
            .events_max
            .map(|most| most * 2)
            .filter(|most| *most < settings.chunk_events_max);
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.events_max.is_some()
    }
}

/// Returns the batch that parks a user in place of the one event that overflows.
pub(crate) fn in_place_of(batch: &Batch, parked: Parked) -> Batch {
    Batch {
        checkpoints: batch.checkpoints.clone(),
        parked: vec![parked],
        ..Batch::default()
    }
}
