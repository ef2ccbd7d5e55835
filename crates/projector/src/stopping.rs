//! How tasks learn that they are to stop.

use tokio::sync::watch;

/// Waits until the stop is asked for. One that nobody can ask for any more has been.
pub(crate) async fn asked(stop: &mut watch::Receiver<bool>) {
    // What it returns holds a lock, which must not live on in the caller.
    let _ = stop.wait_for(|stop| *stop).await;
}
