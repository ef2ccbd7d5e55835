//! How large states are, and how much they grow by what they are told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What counts as told before anything was seen, with the guess that a state keeps all of it.
const GUESS_BYTES: u64 = 4096;

/// By how much the states of one context have grown, as JSON, and the data of the events that
/// they grew by.
///
/// A state is made into JSON only now and then, when it is written or looked at. In between its
/// size is estimated from this: one that keeps a fifth of what it is told is not taken for five
/// times as large as it is, and need not leave memory.
#[derive(Debug)]
pub(crate) struct Growth {
    told: AtomicU64,
    grown: AtomicU64,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            told: AtomicU64::new(GUESS_BYTES),
            grown: AtomicU64::new(GUESS_BYTES),
        }
    }
}

impl Growth {
    fn saw(&self, told: u32, grown: u32) {
        self.told.fetch_add(u64::from(told), Relaxed);
        self.grown.fetch_add(u64::from(grown), Relaxed);
    }

    fn of(&self, told: u32) -> u32 {
        let per_byte = self.grown.load(Relaxed) as f64 / self.told.load(Relaxed) as f64;
        (f64::from(told) * per_byte) as u32
    }
}

/// How long a state is as JSON: as it was when it was last made into it, and an estimate of what
/// has come since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    seen: u32,
    told: u32,
    grown: u32,
}

impl Size {
    /// Of a state that was read as JSON of so many bytes.
    pub(crate) fn of(json_bytes: usize) -> Self {
        Self {
            seen: u32::try_from(json_bytes).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }

    /// Notes that it was told an event whose data has so many bytes.
    pub(crate) fn told(&mut self, data_bytes: usize, growth: &Growth) {
        let told = u32::try_from(data_bytes).unwrap_or(u32::MAX);
        self.told = self.told.saturating_add(told);
        self.grown = self.grown.saturating_add(growth.of(told));
    }

    /// Notes what it is, and how that compares with what it was told.
    pub(crate) fn saw(&mut self, json_bytes: usize, growth: &Growth) {
        let now = Self::of(json_bytes);
        growth.saw(self.told, now.seen.saturating_sub(self.seen));
        *self = now;
    }

    pub(crate) fn json_bytes(&self) -> usize {
        self.seen as usize + self.grown as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_soon_outweighs_the_guess() {
        let growth = Growth::default();
        let mut state = Size::default();
        state.told(400, &growth);
        assert_eq!(state.json_bytes(), 400);
        for seen in 1..=1000 {
            state.told(400, &growth);
            state.saw(seen * 100, &growth);
        }
        state.told(400, &growth);
        assert_eq!(state.json_bytes(), 100_000 + 102);
    }

    #[test]
    fn a_state_that_forgets_does_not_grow() {
        let growth = Growth::default();
        let mut state = Size::of(1000);
        for _ in 0..1000 {
            state.told(1000, &growth);
            state.saw(10, &growth);
        }
        state.told(1000, &growth);
        assert!(state.json_bytes() < 20, "{state:?}");
    }
}
