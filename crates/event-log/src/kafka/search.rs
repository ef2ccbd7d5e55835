//! Finds where in a partition a place lies, by halving: sequences of both kinds only rise.

use foldline_schema::decode;

use super::{
    ends::Tail,
    probe::{Found, Partition, Probe},
};
use crate::Source;

/// What is looked for: the first event from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Sequence(u64),
    LaneSequence(u64),
}

/// One partition to be searched.
pub(crate) struct Search {
    pub(crate) partition: Partition,
    pub(crate) tail: Tail,
    pub(crate) target: Target,
    /// How many offsets too early the answer may lie.
    pub(crate) early_max: i64,
}

impl Target {
    fn is_reached(self, sequence: u64, lane_sequence: u64) -> bool {
        match self {
            Self::Sequence(target) => sequence >= target,
            Self::LaneSequence(target) => lane_sequence >= target,
        }
    }
}

/// Returns for each partition an offset before which nothing is of the target, and from which on
/// the target is near. Partitions are searched side by side, one round trip per step.
pub(crate) fn run(probe: &mut Probe, searches: &[Search]) -> Result<Vec<i64>, Source> {
    let mut ranges: Vec<(i64, i64)> = searches.iter().map(Search::range).collect();
    loop {
        let open: Vec<usize> = (0..searches.len())
            .filter(|&index| ranges[index].1 - ranges[index].0 > searches[index].early_max)
            .collect();
        if open.is_empty() {
            return Ok(ranges.into_iter().map(|(low, _)| low).collect());
        }
        let middle = |(low, high): (i64, i64)| low + (high - low) / 2;
        let places: Vec<_> = open
            .iter()
            .map(|&index| (searches[index].partition.clone(), middle(ranges[index])))
            .collect();
        let found = probe.first_from(&places)?;
        for ((&index, (_, middle)), found) in open.iter().zip(&places).zip(found) {
            ranges[index] = searches[index].narrowed(ranges[index], *middle, found.as_ref());
        }
    }
}

impl Search {
    /// Where the target can lie: between its own number of events and the last event.
    fn range(&self) -> (i64, i64) {
        let Tail {
            end,
            last,
            sequence,
            lane_sequence,
        } = self.tail;
        match last {
            Some(last) if self.target.is_reached(sequence.0, lane_sequence.0) => (0, last),
            _ => (end, end),
        }
    }

    /// No record lies between `middle` and the first one found from there on.
    fn narrowed(&self, (low, high): (i64, i64), middle: i64, found: Option<&Found>) -> (i64, i64) {
        let Some(found) = found else {
            return (low, middle);
        };
        match decode(found.value.clone()) {
            Ok(event)
                if self
                    .target
                    .is_reached(event.sequence.0, event.lane_sequence.0) =>
            {
                (low, middle)
            }
            Ok(_) => ((found.offset + 1).min(high), high),
            // Whoever reads from here on meets it and says so.
            Err(_) => (low, low),
        }
    }
}
