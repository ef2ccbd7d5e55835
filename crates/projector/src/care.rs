//! How a batch whose sums overflow, or might, is taken apart.

use foldline_tables::{Batch, Parked};

use crate::{assembly::Limits, settings::Settings};

/// In how many commits what is missing is loaded at least.
const LAST_COMMITS: u64 = 3;

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

    /// Returns how far a batch may grow; `missing` is how many events a generation that is loaded
    /// has yet to absorb.
    pub(crate) fn limits(&self, settings: &Settings, missing: Option<u64>) -> Limits {
        let events = match missing {
            // Nothing goes on beside the last commit, so towards the end they become smaller.
            Some(missing) => usize::try_from(missing / LAST_COMMITS)
                .unwrap_or(usize::MAX)
                .max(settings.batch_events_max)
                .min(settings.load_events_max),
            None => settings.batch_events_max,
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
