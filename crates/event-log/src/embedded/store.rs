//! The fjall database below the log, and how its errors are read.

use std::path::Path;

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, PersistMode,
    config::{BlockSizePolicy, FilterPolicy},
};
use foldline_kernel::{Lane, Topology};

use crate::Source;

/// How much all lanes together hold in memory before they are written to tables, and the least
/// that one lane gets of it.
const MEMTABLES_BYTES_MAX: u64 = 64 << 20;
const MEMTABLE_BYTES_MIN: u64 = 1 << 20;

/// A lane's state is rewritten with each commit; a small table of it lets old journals go.
const STATE_MEMTABLE_BYTES_MAX: u64 = 2 << 20;
const SNAPSHOTS_MEMTABLE_BYTES_MAX: u64 = 16 << 20;

/// What a start has to read again at most.
const JOURNALS_BYTES_MAX: u64 = 192 << 20;

/// Threads that write tables and merge them. With two, the first spins as long as the other is at
/// a merge, for it only writes tables and puts back what else it is given.
const WORKERS: usize = 3;

/// Records are read in order, so larger blocks than fjall's 4 KiB for single keys.
const RECORD_BLOCK_BYTES: u32 = 32 << 10;

/// The keyspaces of the log, one journal for all.
///
/// Each lane has a keyspace of its own: keys only ever grow in it, so its tables never overlap
/// and compaction moves them instead of writing the whole log again and again.
pub(crate) struct Store {
    pub(crate) lanes: Vec<Keyspace>,
    pub(crate) states: Keyspace,
    pub(crate) snapshots: Keyspace,
    /// Last, so that it closes after its keyspaces.
    pub(crate) database: Database,
}

impl Store {
    pub(crate) fn open(path: &Path, topology: &Topology) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()?;
        let memtable = (MEMTABLES_BYTES_MAX / u64::from(topology.lanes)).max(MEMTABLE_BYTES_MIN);
        let records = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(memtable)
                .data_block_size_policy(BlockSizePolicy::all(RECORD_BLOCK_BYTES))
                // Nobody asks for a record that may not be there.
                .filter_policy(FilterPolicy::disabled())
        };
        let small = |bytes| move || KeyspaceCreateOptions::default().max_memtable_size(bytes);
        let lanes = topology
            .all_lanes()
            .map(|lane| database.keyspace(&lane_name(lane), records))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            lanes,
            states: database.keyspace("states", small(STATE_MEMTABLE_BYTES_MAX))?,
            snapshots: database.keyspace("snapshots", small(SNAPSHOTS_MEMTABLE_BYTES_MAX))?,
            database,
        })
    }

    /// Makes everything durable that was written so far.
    pub(crate) fn persist(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncAll)
    }

    pub(crate) fn lane(&self, lane: Lane) -> &Keyspace {
        &self.lanes[lane.index()]
    }
}

fn lane_name(lane: Lane) -> String {
    format!("lane-{:04}", lane.0)
}

/// Tells whether an error says that what is stored is damaged, rather than out of reach.
pub(crate) fn is_damage(error: &fjall::Error) -> bool {
    use fjall::{Error, LsmError};
    match error {
        Error::Storage(LsmError::Io(source)) | Error::Io(source) => {
            // A file that ends too early has been cut off; anything else is the system's trouble.
            source.kind() == std::io::ErrorKind::UnexpectedEof
        }
        Error::Poisoned | Error::KeyspaceDeleted | Error::Locked => false,
        _ => true,
    }
}

/// Makes an error a source.
pub(crate) fn source(error: fjall::Error) -> Source {
    Box::new(error)
}
