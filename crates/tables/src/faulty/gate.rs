//! A place where something slow waits until a test lets it go on: slowness without a clock.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A gate that holds whoever comes until the test opens it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Sides>);

#[derive(Debug)]
struct Sides {
    arrived: Semaphore,
    opened: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Sides {
            arrived: Semaphore::new(0),
            opened: Semaphore::new(0),
        }))
    }
}

impl Gate {
    /// Waits until somebody stands at the gate.
    pub async fn arrived(&self) {
        take(&self.0.arrived).await;
    }

    /// Lets one pass, who stands there or is still to come.
    pub fn open(&self) {
        self.0.opened.add_permits(1);
    }

    pub(super) async fn pass(&self) {
        self.0.arrived.add_permits(1);
        take(&self.0.opened).await;
    }
}

async fn take(permits: &Semaphore) {
    permits
        .acquire()
        .await
        .expect("a gate is never closed")
        .forget();
}
