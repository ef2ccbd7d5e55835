//! The records behind the log's back, written from the format as it stands in the docs.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use foldline_kernel::{Epoch, Lane, LaneSequence, Sequence};
use foldline_schema::{NewEvent, Stamp, encode};

/// The store of a closed log.
pub(crate) struct Raw {
    database: Database,
}

impl Raw {
    pub(crate) fn open(dir: &Path) -> Self {
        let database = Database::builder(dir.join("store")).open().unwrap();
        Self { database }
    }

    fn lane(&self, lane: Lane) -> Keyspace {
        self.keyspace(&format!("lane-{:04}", lane.0))
    }

    fn keyspace(&self, name: &str) -> Keyspace {
        assert!(self.database.keyspace_exists(name), "{name}");
        self.database
            .keyspace(name, KeyspaceCreateOptions::default)
            .unwrap()
    }

    /// Has a lane's records written from memory to a table.
    pub(crate) fn flush(&self, lane: Lane) {
        self.lane(lane).rotate_memtable_and_wait().unwrap();
    }

    pub(crate) fn remove(&self, lane: Lane, at: LaneSequence) {
        self.lane(lane).remove(key(lane, at)).unwrap();
    }

    /// Flips a bit of the event's bytes.
    pub(crate) fn flip(&self, lane: Lane, at: LaneSequence) {
        let mut record = self
            .lane(lane)
            .get(key(lane, at))
            .unwrap()
            .unwrap()
            .to_vec();
        *record.last_mut().unwrap() ^= 1;
        self.lane(lane).insert(key(lane, at), record).unwrap();
    }

    /// Moves a record, checksum and all, to another place.
    pub(crate) fn copy(&self, lane: Lane, from: LaneSequence, to: LaneSequence) {
        let record = self.lane(lane).get(key(lane, from)).unwrap().unwrap();
        self.lane(lane).insert(key(lane, to), record).unwrap();
    }

    /// Appends an event of the first context, with a record and a lane state that verify.
    pub(crate) fn append(&self, lane: Lane, event: NewEvent) {
        let states = self.keyspace("states");
        let state_key = lane.0.to_be_bytes();
        let mut state = states.get(state_key).unwrap().unwrap().to_vec();
        let number = |at: usize| u64::from_be_bytes(state[at..at + 8].try_into().unwrap()) + 1;
        let (lane_sequence, sequence) = (number(8), number(16));
        state[8..16].copy_from_slice(&lane_sequence.to_be_bytes());
        state[16..24].copy_from_slice(&sequence.to_be_bytes());
        seal(&state_key, &mut state);
        states.insert(state_key, state).unwrap();

        let stamp = Stamp {
            sequence: Sequence(sequence),
            lane_sequence: LaneSequence(lane_sequence),
            epoch: Epoch(1),
        };
        let event = encode(&"market".parse().unwrap(), event, stamp);
        let mut record = vec![0; 6];
        record.extend_from_slice(&sequence.to_be_bytes());
        record.extend_from_slice(&event.record);
        let key = key(lane, LaneSequence(lane_sequence));
        seal(&key, &mut record);
        self.lane(lane).insert(key, record).unwrap();
    }
}

fn key(lane: Lane, at: LaneSequence) -> Vec<u8> {
    [&lane.0.to_be_bytes()[..], &at.0.to_be_bytes()].concat()
}

fn seal(key: &[u8], record: &mut [u8]) {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(key), &record[4..]);
    record[..4].copy_from_slice(&checksum.to_be_bytes());
}
