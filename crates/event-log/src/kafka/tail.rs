//! The end of one followed lane in memory, shared by all its followers.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use foldline_kernel::LaneSequence;
use tokio::sync::watch;

use super::stream::Item;
use crate::Heads;

/// What an event takes in memory beside its record, roughly.
const EVENT_BYTES: usize = 512;

/// The last events of a lane, as the feed has read them.
pub(crate) struct LaneTail {
    kept: Mutex<Kept>,
    reached: watch::Sender<LaneSequence>,
    ended: AtomicBool,
}

struct Kept {
    /// The lane before the first event that is kept.
    begin: LaneSequence,
    /// Per context the offset of the last event before that one, where there is any.
    before: Vec<Option<i64>>,
    /// The lane with the last one.
    heads: Heads,
    recent: VecDeque<Item>,
    bytes: usize,
}

/// What [`LaneTail::read`] found.
pub(crate) enum Read {
    /// There is nothing after that place yet.
    Nothing,
    /// The wanted events after that place, and how far they were looked for.
    Events(Vec<Item>, LaneSequence),
    /// The place lies before what is kept.
    Behind,
    /// Nothing more will come.
    Ended,
}

impl LaneTail {
    /// Begins at the lane's end, of which these are the last offsets.
    pub(crate) fn new(end: Heads, before: Vec<Option<i64>>) -> Self {
        let (reached, _) = watch::channel(end.lane_sequence);
        Self {
            kept: Mutex::new(Kept {
                begin: end.lane_sequence,
                before,
                heads: end,
                recent: VecDeque::new(),
                bytes: 0,
            }),
            reached,
            ended: AtomicBool::new(false),
        }
    }

    /// Adds the events that follow, forgets the oldest beyond a bound, and wakes who waits.
    pub(crate) fn publish(&self, items: Vec<Item>, bytes_max: usize) -> Heads {
        let mut forgotten = Vec::new();
        let mut kept = self.lock();
        for item in items {
            kept.bytes += size(&item);
            kept.heads.lane_sequence = item.event.lane_sequence;
            kept.heads.sequences[item.context] = item.event.sequence;
            kept.recent.push_back(item);
        }
        while kept.bytes > bytes_max
            && let Some(oldest) = kept.recent.pop_front()
        {
            kept.bytes -= size(&oldest);
            kept.begin = oldest.event.lane_sequence;
            kept.before[oldest.context] = Some(oldest.offset);
            forgotten.push(oldest);
        }
        let heads = kept.heads.clone();
        drop(kept);
        self.reached.send_replace(heads.lane_sequence);
        heads
    }

    /// Says that nothing more will come from here.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Wakes whoever waits, though the place is the same.
        self.reached.send_modify(|_| {});
    }

    /// Returns what wakes on every move, and at the end.
    pub(crate) fn watch(&self) -> watch::Receiver<LaneSequence> {
        self.reached.subscribe()
    }

    /// Tells from which place on a reader can go on here, who will read these contexts from these
    /// offsets on: where no event that it has not seen lies before what is kept.
    ///
    /// By offsets, not by sequences: a record that is out of place is to be met, not passed by.
    pub(crate) fn joined_by(
        &self,
        mut offsets: impl Iterator<Item = (usize, i64)>,
    ) -> Option<LaneSequence> {
        let kept = self.lock();
        offsets
            .all(|(context, from)| kept.before[context].is_none_or(|last| from > last))
            .then_some(kept.begin)
    }

    /// Reads up to `limit` events after a place, of one context or of all.
    pub(crate) fn read(&self, after: LaneSequence, only: Option<usize>, limit: usize) -> Read {
        let ended = self.ended.load(Ordering::Acquire);
        let kept = self.lock();
        let last = kept.heads.lane_sequence;
        if after >= last {
            return if ended { Read::Ended } else { Read::Nothing };
        }
        if after < kept.begin {
            return Read::Behind;
        }
        // The difference of two places within a deque is a usize.
        let skip = (after.0 - kept.begin.0) as usize;
        let mut scanned = after;
        let mut items = Vec::new();
        for item in kept.recent.range(skip..) {
            if items.len() == limit {
                break;
            }
            scanned = item.event.lane_sequence;
            if only.is_none_or(|wanted| wanted == item.context) {
                items.push(item.clone());
            }
        }
        Read::Events(items, scanned)
    }

    /// No code under the lock can panic half way, so a poisoned lock still holds whole values.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(item: &Item) -> usize {
    item.event.record.len() + EVENT_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use foldline_kernel::{Epoch, Lane, LogId, Sequence, Topology};
    use foldline_schema::{Stamp, encode};
    use uuid::Uuid;

    use super::*;
    use crate::conformance::event;

    /// An event of a kilobyte; even ones are of context 1.
    fn item(n: u64) -> Item {
        let orders = "orders".parse().unwrap();
        let id = LogId(Uuid::nil());
        let topology = Topology::new(id, "market".parse().unwrap(), 1, vec![]).unwrap();
        let mut new = event(&topology, Lane(0), &orders, "large", (1, 1));
        new.data = format!("\"{}\"", "x".repeat(1 << 10)).into();
        let stamp = Stamp {
            sequence: Sequence(n.div_ceil(2)),
            lane_sequence: LaneSequence(n),
            epoch: Epoch(1),
        };
        Item {
            context: usize::from(n.is_multiple_of(2)),
            offset: n as i64 * 2,
            event: Arc::new(encode(&topology.name, new, stamp)),
        }
    }

    fn heads(orders: u64, payments: u64) -> Heads {
        Heads {
            lane_sequence: LaneSequence(orders + payments),
            sequences: vec![Sequence(orders), Sequence(payments)],
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_its_begin_is_known() {
        let tail = LaneTail::new(heads(2, 2), vec![Some(6), Some(8)]);
        assert!(matches!(tail.read(LaneSequence(4), None, 9), Read::Nothing));
        assert!(matches!(tail.read(LaneSequence(3), None, 9), Read::Behind));
        let joined = |offsets: &[(usize, i64)]| tail.joined_by(offsets.iter().copied());
        assert_eq!(joined(&[(0, 6)]), None);
        assert_eq!(joined(&[(0, 7)]), Some(LaneSequence(4)));
        assert_eq!(joined(&[(0, 7), (1, 8)]), None);
        let now = tail.publish((5..=24).map(item).collect(), 8 << 11);
        assert_eq!(now, heads(12, 12));
        let Some(LaneSequence(begin)) = joined(&[(0, 99), (1, 99)]) else {
            panic!("whoever has seen everything goes on here");
        };
        assert!((14..20).contains(&begin), "{begin}");
        assert_eq!(joined(&[(0, 30)]).is_some(), begin <= 15, "{begin}");
        assert!(matches!(
            tail.read(LaneSequence(begin - 1), None, 9),
            Read::Behind
        ));
        let Read::Events(items, scanned) = tail.read(LaneSequence(20), Some(1), 1) else {
            panic!("it is kept");
        };
        assert_eq!(items[0].event.lane_sequence, LaneSequence(22));
        assert_eq!(scanned, LaneSequence(22));
        tail.end();
        assert!(matches!(tail.read(LaneSequence(24), None, 9), Read::Ended));
        assert!(matches!(
            tail.read(LaneSequence(23), None, 9),
            Read::Events(_, _)
        ));
    }
}
