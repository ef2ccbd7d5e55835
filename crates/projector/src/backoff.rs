//! Pauses between attempts, longer each time.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);

/// Doubles from 20 ms up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn up_to(most: Duration) -> Self {
        let next = FIRST.min(most);
        Self { next, most }
    }

    /// Starts over: an attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST.min(self.most);
    }

    pub(crate) async fn pause(&mut self) {
        let pause = self.next;
        self.next = (pause * 2).min(self.most);
        tokio::time::sleep(pause).await;
    }
}
