//! What was asked and what was answered, for the checker.

use std::time::Instant;

use uuid::Uuid;

/// A moment of this process: microseconds since it began to call.
pub type Moment = u64;

/// Tells the moments of a run.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Default for Watch {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Watch {
    /// This moment.
    pub fn now(self) -> Moment {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What a command asks for, as far as the checker's rules need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `orders/place`
    Place(Uuid),
    /// `orders/approve`
    Approve(Uuid),
    /// `orders/ship`
    Ship(Uuid),
    /// `orders/deliver`
    Deliver(Uuid),
    /// `orders/cancel`
    Cancel(Uuid),
    /// `payments/capture`
    Capture {
        /// The payment.
        payment: Uuid,
        /// What it pays.
        order: Uuid,
    },
    /// `payments/refund`, always of one cent.
    Refund(Uuid),
}

impl What {
    /// The context and the command, as in the path.
    pub fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Place(_) => ("orders", "place"),
            Self::Approve(_) => ("orders", "approve"),
            Self::Ship(_) => ("orders", "ship"),
            Self::Deliver(_) => ("orders", "deliver"),
            Self::Cancel(_) => ("orders", "cancel"),
            Self::Capture { .. } => ("payments", "capture"),
            Self::Refund(_) => ("payments", "refund"),
        }
    }
}

/// A command, everything that was tried with its key, and what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The idempotency key.
    pub key: String,
    /// Whose streams it is about.
    pub user: Uuid,
    /// What it asks for.
    pub what: What,
    /// Every request with this key.
    pub attempts: Vec<Attempt>,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Before it was sent.
    pub sent: Moment,
    /// After its answer had come, or it was given up.
    pub ended: Moment,
    /// What it was.
    pub outcome: Outcome,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 201.
    Accepted(Accepted),
    /// 200: nothing changed.
    Unchanged,
    /// The rules said no, with this code.
    Refused(String),
    /// Not now, and this attempt certainly left nothing.
    Nothing(String),
    /// It may or may not have taken effect.
    Unknown(String),
}

impl Outcome {
    /// Whether nothing more is to be asked.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Accepted(_) | Self::Unchanged | Self::Refused(_))
    }
}

/// What a 201 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The events' ids, in order.
    pub events: Vec<Uuid>,
    /// The version of the stream with them.
    pub version: u64,
    /// The position of the last, such as `orders/3@1042`.
    pub position: String,
}
