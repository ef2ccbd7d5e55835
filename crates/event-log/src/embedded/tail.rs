//! The end of a lane in memory: how far it is durable, and its last events, shared by all
//! followers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldline_kernel::LaneSequence;
use foldline_schema::Event;
use tokio::sync::watch;

use crate::Heads;

/// How many bytes of events each lane keeps for followers at its tail.
const RECENT_BYTES_MAX: usize = 8 << 20;

/// What an event takes in memory beside its record, roughly.
const EVENT_BYTES: usize = 512;

/// An event and the index of its context in the log's list.
pub(crate) type Placed = (usize, Arc<Event>);

/// The end of one lane.
///
/// The committer alone moves it on, after the events are durable: whoever reads up to
/// [`Tail::heads`] reads nothing that could be lost.
pub(crate) struct Tail {
    end: Mutex<End>,
    reached: watch::Sender<LaneSequence>,
}

struct End {
    heads: Heads,
    /// The last events of the lane, the newest at the back; the last one's lane sequence is that
    /// of `heads`.
    recent: VecDeque<Placed>,
    bytes: usize,
}

/// What [`Tail::read`] found.
pub(crate) enum Read {
    /// There is nothing after that place yet.
    Nothing,
    /// The events after that place, and how far they were looked for.
    Events {
        /// The wanted ones.
        events: Vec<Placed>,
        /// The last lane sequence that was looked at.
        scanned: LaneSequence,
        /// The lane's end, where `scanned` is it.
        end: Option<Heads>,
    },
    /// The place lies behind what is kept in memory: read the store up to this end.
    Behind(Heads),
}

impl Tail {
    pub(crate) fn new(heads: Heads) -> Self {
        let (reached, _) = watch::channel(heads.lane_sequence);
        let end = Mutex::new(End {
            heads,
            recent: VecDeque::new(),
            bytes: 0,
        });
        Self { end, reached }
    }

    /// Moves the end on to events that are durable now, and wakes who waits for them.
    pub(crate) fn publish(&self, events: Vec<Placed>, heads: Heads) {
        let reached = heads.lane_sequence;
        let mut forgotten = Vec::new();
        let mut end = self.lock();
        for placed in events {
            end.bytes += size(&placed);
            end.recent.push_back(placed);
        }
        end.heads = heads;
        while end.bytes > RECENT_BYTES_MAX
            && let Some(oldest) = end.recent.pop_front()
        {
            end.bytes -= size(&oldest);
            forgotten.push(oldest);
        }
        drop(end);
        drop(forgotten);
        self.reached.send_replace(reached);
    }

    /// Returns the end as it stands.
    pub(crate) fn heads(&self) -> Heads {
        self.lock().heads.clone()
    }

    /// Returns what wakes on every move of the end.
    pub(crate) fn watch(&self) -> watch::Receiver<LaneSequence> {
        self.reached.subscribe()
    }

    /// Reads up to `limit` events after a place, of one context or of all.
    pub(crate) fn read(&self, after: LaneSequence, only: Option<usize>, limit: usize) -> Read {
        let end = self.lock();
        let last = end.heads.lane_sequence;
        if after >= last {
            return Read::Nothing;
        }
        let missing = last.0 - after.0;
        let Some(skip) = (end.recent.len() as u64).checked_sub(missing) else {
            return Read::Behind(end.heads.clone());
        };
        let mut scanned = after;
        let mut events = Vec::new();
        // `skip` is below the length of a deque, so it is a usize.
        for (context, event) in end.recent.range(skip as usize..) {
            if events.len() == limit {
                break;
            }
            scanned = event.lane_sequence;
            if only.is_none_or(|wanted| wanted == *context) {
                events.push((*context, Arc::clone(event)));
            }
        }
        let end = (scanned == last).then(|| end.heads.clone());
        Read::Events {
            events,
            scanned,
            end,
        }
    }

    /// No code under the lock can panic half way, so a poisoned lock still holds whole values.
    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size((_, event): &Placed) -> usize {
    event.record.len() + EVENT_BYTES
}

#[cfg(test)]
mod tests {
    use foldline_kernel::{Epoch, Lane, LogId, Sequence, Topology};
    use foldline_schema::{Stamp, encode};
    use uuid::Uuid;

    use super::*;
    use crate::conformance::event;

    /// An event of a mebibyte; even ones are of context 1.
    fn large(n: u64) -> Placed {
        let orders = "orders".parse().unwrap();
        let log_id = LogId(Uuid::nil());
        let topology = Topology::new(log_id, "market".parse().unwrap(), 1, vec![]).unwrap();
        let mut new = event(&topology, Lane(0), &orders, "large", (1, 1));
        new.data = format!("\"{}\"", "x".repeat(1 << 20)).into();
        let stamp = Stamp {
            sequence: Sequence(n),
            lane_sequence: LaneSequence(n),
            epoch: Epoch(1),
        };
        let event = encode(&topology.name, new, stamp);
        (usize::from(n.is_multiple_of(2)), Arc::new(event))
    }

    fn heads(n: u64) -> Heads {
        Heads {
            lane_sequence: LaneSequence(n),
            sequences: vec![],
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_is_behind() {
        let tail = Tail::new(heads(5));
        assert!(matches!(tail.read(LaneSequence(5), None, 9), Read::Nothing));
        assert!(matches!(
            tail.read(LaneSequence(4), None, 9),
            Read::Behind(_)
        ));
        for n in 6..=25 {
            tail.publish(vec![large(n)], heads(n));
        }
        // Seven of a mebibyte and a bit fit into eight.
        assert!(matches!(
            tail.read(LaneSequence(17), None, 9),
            Read::Behind(_)
        ));
        let Read::Events {
            events,
            scanned,
            end,
        } = tail.read(LaneSequence(18), Some(1), 2)
        else {
            panic!("the last seven are kept");
        };
        let found: Vec<_> = events
            .iter()
            .map(|(_, event)| event.lane_sequence.0)
            .collect();
        assert_eq!(
            (found, scanned, end),
            (vec![20, 22], LaneSequence(22), None)
        );
        let Read::Events { events, end, .. } = tail.read(LaneSequence(24), Some(1), 2) else {
            panic!("the last one is kept");
        };
        assert_eq!(
            (events.len(), end),
            (0, Some(heads(25))),
            "passed by, but the end is known"
        );
        assert_eq!(*tail.watch().borrow(), LaneSequence(25));
    }
}
