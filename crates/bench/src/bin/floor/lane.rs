//! One task per lane: what waits is one batch, appended and then answered.

use anyhow::Result;
use foldline_event_log::LaneWriter;
use foldline_kernel::{Position, UserId};
use foldline_schema::NewEvent;
use tokio::sync::{mpsc, oneshot};

use crate::ready_made;

/// The way to a lane's task.
pub(crate) struct LaneQueue(mpsc::Sender<Waiting>);

/// A request, and where its answer goes.
struct Waiting {
    user: UserId,
    answer: oneshot::Sender<Position>,
}

impl LaneQueue {
    /// Starts the task of a lane.
    ///
    /// # Errors
    /// When the ready-made event cannot be made.
    pub(crate) fn serve(writer: Box<dyn LaneWriter>) -> Result<Self> {
        // The bounds of a node's lane.
        let bounds = foldline_command::Settings::default();
        let (sender, waiting) = mpsc::channel(bounds.queue_commands_max);
        let batch_max = bounds.batch_events_max;
        tokio::spawn(run(writer, waiting, batch_max, ready_made::event()?));
        Ok(Self(sender))
    }

    /// Appends the ready-made event for a user; `None` once the lane has failed.
    pub(crate) async fn append(&self, user: UserId) -> Option<Position> {
        let (answer, position) = oneshot::channel();
        self.0.send(Waiting { user, answer }).await.ok()?;
        position.await.ok()
    }
}

/// Ends when an append fails: then every request is refused, and the load generator says so.
async fn run(
    mut writer: Box<dyn LaneWriter>,
    mut waiting: mpsc::Receiver<Waiting>,
    batch_max: usize,
    ready_made: NewEvent,
) {
    let mut taken = Vec::new();
    while waiting.recv_many(&mut taken, batch_max).await > 0 {
        let events = taken.iter().map(|waiting: &Waiting| NewEvent {
            subject: waiting.user,
            ..ready_made.clone()
        });
        let appended = match writer.append(events.collect()).await {
            Ok(appended) => appended,
            Err(error) => {
                eprintln!("lane {} ends: {error}", writer.lane());
                return;
            }
        };
        for (waiting, sequence) in taken.drain(..).zip(appended.sequences) {
            let position = Position {
                context: ready_made.context.clone(),
                partition: writer.lane(),
                sequence,
            };
            // Whoever has gone needs no answer.
            let _ = waiting.answer.send(position);
        }
    }
}
