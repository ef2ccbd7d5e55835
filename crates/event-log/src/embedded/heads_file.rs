//! How far each lane was acknowledged, kept apart from the records.
//!
//! The store's own recovery drops a damaged tail without a word. This file is the second witness:
//! it is written after each durable commit and before the commit is answered, so a lane whose
//! records end below it has lost what was acknowledged. It need not be synced: a file that lags
//! behind (a crash in between, a power cut) makes no false alarm, and after the crash of the
//! process alone the operating system still has it.
//!
//! ```text
//!   header  magic 8 │ log id 16 │ lanes u16 │ crc32c u32
//!   lane    two slots of 32: write count u64 │ lane sequence u64 │ epoch u32 │ crc32c u32 │ 0
//! ```
//!
//! The two slots of a lane are written in turn: a torn write leaves the other one, one write older.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use foldline_kernel::{Epoch, Lane, LaneSequence, LogId, Topology};

const MAGIC: &[u8; 8] = b"FOLDHEAD";
const HEADER_BYTES: usize = 64;
const SLOT_BYTES: usize = 32;

/// What was acknowledged of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) lane_sequence: LaneSequence,
    pub(crate) epoch: Epoch,
}

/// The open file, written by the committer alone.
#[derive(Debug)]
pub(crate) struct HeadsFile {
    file: File,
    lanes: Vec<(u64, Acknowledged)>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadsFileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
}

impl HeadsFile {
    /// Writes the file of a new log, synced: from then on its absence means a loss.
    pub(crate) fn create(path: &Path, topology: &Topology) -> io::Result<()> {
        let mut bytes = header(topology.log_id, topology.lanes);
        for lane in topology.all_lanes() {
            for write in 0..2 {
                bytes.extend(slot(lane, write, Acknowledged::default()));
            }
        }
        let mut file = File::create(path)?;
        file.write_all(&bytes)?;
        file.sync_all()
    }

    /// Opens and checks the file of a log.
    pub(crate) fn open(path: &Path, topology: &Topology) -> Result<Self, HeadsFileError> {
        let damaged = |what: &str| HeadsFileError::Damaged(what.to_owned());
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing"));
            }
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if !bytes.starts_with(&header(topology.log_id, topology.lanes)) {
            return Err(damaged(
                "it is not that of this log, or its header is damaged",
            ));
        }
        let lanes = topology
            .all_lanes()
            .map(|lane| {
                let at = offset(lane, 0);
                let slots = bytes.get(at..at + 2 * SLOT_BYTES).unwrap_or_default();
                slots
                    .chunks_exact(SLOT_BYTES)
                    .filter_map(|slot| read_slot(lane, slot))
                    .max_by_key(|(writes, _)| *writes)
                    .ok_or_else(|| damaged(&format!("neither slot of lane {lane} is readable")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { file, lanes })
    }

    /// Returns how far a lane was acknowledged.
    pub(crate) fn get(&self, lane: Lane) -> Acknowledged {
        self.lanes[lane.index()].1
    }

    /// Notes that a lane is durable up to here, in the older of its two slots.
    pub(crate) fn put(&mut self, lane: Lane, acknowledged: Acknowledged) -> io::Result<()> {
        let (writes, known) = &mut self.lanes[lane.index()];
        *writes += 1;
        *known = acknowledged;
        let bytes = slot(lane, *writes, acknowledged);
        let at = offset(lane, (*writes % 2) as usize);
        self.file.seek(SeekFrom::Start(at as u64))?;
        self.file.write_all(&bytes)
    }
}

fn offset(lane: Lane, slot: usize) -> usize {
    HEADER_BYTES + (2 * lane.index() + slot) * SLOT_BYTES
}

fn header(log_id: LogId, lanes: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(log_id.0.as_bytes());
    bytes.extend_from_slice(&lanes.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

fn slot(lane: Lane, writes: u64, acknowledged: Acknowledged) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&writes.to_be_bytes());
    slot[8..16].copy_from_slice(&acknowledged.lane_sequence.0.to_be_bytes());
    slot[16..20].copy_from_slice(&acknowledged.epoch.0.to_be_bytes());
    let checksum = checksum(lane, &slot[..20]);
    slot[20..24].copy_from_slice(&checksum.to_be_bytes());
    slot
}

fn read_slot(lane: Lane, slot: &[u8]) -> Option<(u64, Acknowledged)> {
    let (writes, rest) = slot.split_first_chunk()?;
    let (lane_sequence, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (stored, _) = rest.split_first_chunk()?;
    (u32::from_be_bytes(*stored) == checksum(lane, &slot[..20])).then(|| {
        let acknowledged = Acknowledged {
            lane_sequence: LaneSequence(u64::from_be_bytes(*lane_sequence)),
            epoch: Epoch(u32::from_be_bytes(*epoch)),
        };
        (u64::from_be_bytes(*writes), acknowledged)
    })
}

fn checksum(lane: Lane, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&lane.0.to_be_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        let log_id = LogId(uuid::Uuid::from_u128(7));
        Topology::new(log_id, "market".parse().unwrap(), 2, vec![]).unwrap()
    }

    fn at(lane_sequence: u64) -> Acknowledged {
        Acknowledged {
            lane_sequence: LaneSequence(lane_sequence),
            epoch: Epoch(1),
        }
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before_and_two_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads");
        HeadsFile::create(&path, &topology()).unwrap();
        let mut heads = HeadsFile::open(&path, &topology()).unwrap();
        for lane_sequence in 1..=5 {
            heads.put(Lane(1), at(lane_sequence)).unwrap();
        }
        assert_eq!(
            HeadsFile::open(&path, &topology()).unwrap().get(Lane(1)),
            at(5)
        );

        let mut bytes = std::fs::read(&path).unwrap();
        // The new file counts as write 1, so the five above were 2 to 6.
        bytes[offset(Lane(1), 6 % 2) + 9] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let torn = HeadsFile::open(&path, &topology()).unwrap();
        assert_eq!(torn.get(Lane(1)), at(4));
        assert_eq!(torn.get(Lane(0)), Acknowledged::default());

        bytes[offset(Lane(1), 5 % 2) + 9] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let told = HeadsFile::open(&path, &topology()).unwrap_err();
        assert_eq!(told.to_string(), "neither slot of lane 1 is readable");
    }

    #[test]
    fn the_file_of_another_log_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads");
        HeadsFile::create(&path, &topology()).unwrap();
        let mut other = topology();
        other.log_id = LogId(uuid::Uuid::from_u128(8));
        assert!(HeadsFile::open(&path, &other).is_err());
    }
}
