//! The log's directory: its lock, its format and its topology.
//!
//! ```text
//!   lock       held by the process that has the log open
//!   log.json   format version, log id, name, lanes, contexts
//!   heads      how far each lane was acknowledged
//!   store/     the records (fjall)
//! ```

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use foldline_kernel::{Lane, LaneSequence, LogId, Topology};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{OpenError, Settings, heads_file::HeadsFile};
use crate::Corruption;

/// The format of directory, keys and records that this program reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// How often, and how long apart, the lock is tried: a reader of a log that was just closed in
/// this process may still be finishing its chunk.
const LOCK_TRIES_MAX: u32 = 10;
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// How much of the disk stays free: tables and journals need room to be written too.
const BYTES_KEPT_FREE: u64 = 16 << 20;

/// What a disk must still take to count as not full: more than one command ever appends.
const ROOM_BYTES_MIN: u64 = 1 << 20;

/// The directory, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Locks end with their file, also when the process is killed.
    lock: File,
}

#[derive(Serialize, Deserialize)]
struct LogRecord {
    format: u64,
    #[serde(flatten)]
    topology: Topology,
}

impl Directory {
    /// Locks a directory and reads its topology, creating both where there is no log yet.
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<(Self, Topology), OpenError> {
        let unavailable = |error: io::Error| OpenError::Unavailable {
            dir: path.to_owned(),
            source: error.into(),
        };
        fs::create_dir_all(path).map_err(unavailable)?;
        let lock = lock(path).map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse {
                dir: path.to_owned(),
            },
            TryLockError::Error(error) => unavailable(error),
        })?;
        let directory = Self {
            path: path.to_owned(),
            lock,
        };
        let topology = match fs::read(directory.record_path()) {
            Ok(bytes) => directory.known(&bytes, settings)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => directory.create(settings)?,
            Err(error) => return Err(unavailable(error)),
        };
        Ok((directory, topology))
    }

    pub(crate) fn heads_path(&self) -> PathBuf {
        self.path.join("heads")
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Returns the directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many bytes may still be written; no end where the system does not say.
    pub(crate) fn room(&self) -> u64 {
        #[cfg(unix)]
        if let Ok(disk) = rustix::fs::fstatvfs(&self.lock) {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            return free.saturating_sub(BYTES_KEPT_FREE);
        }
        u64::MAX
    }

    /// Checks that there is room for some bytes, and for at least one more command.
    pub(crate) fn check_room(&self, room: u64, bytes: u64) -> Result<(), String> {
        if room >= bytes.max(ROOM_BYTES_MIN) {
            return Ok(());
        }
        Err(format!(
            "the disk of {} is full: {} KiB may still be written, and {} MiB are kept free for \
             tables and journals; make room",
            self.path.display(),
            room >> 10,
            BYTES_KEPT_FREE >> 20,
        ))
    }

    fn record_path(&self) -> PathBuf {
        self.path.join("log.json")
    }

    fn create(&self, settings: &Settings) -> Result<Topology, OpenError> {
        // The record is what makes a log: a creation that stopped before it left nothing that
        // counts, but records without it are somebody's events.
        if self.store_path().exists() {
            return Err(self.damaged("log.json", "it is missing, though there is a `store`"));
        }
        let log_id = LogId(Uuid::now_v7());
        let topology = Topology::new(
            log_id,
            settings.name.clone(),
            settings.lanes,
            settings.contexts.clone(),
        )
        .map_err(|source| OpenError::Settings {
            dir: self.path.clone(),
            source,
        })?;
        self.create_files(&topology)
            .map_err(|error| self.unavailable(error))?;
        tracing::info!(dir = %self.path.display(), %log_id, lanes = topology.lanes, "created a log");
        Ok(topology)
    }

    /// Each name is durable before what counts on it: the heads before the record, and the
    /// directories above, which may have been made with this one, before the first event.
    fn create_files(&self, topology: &Topology) -> io::Result<()> {
        HeadsFile::create(&self.heads_path(), topology)?;
        sync_directory(&self.path)?;
        self.write(topology)?;
        sync_above(&self.path)
    }

    fn known(&self, bytes: &[u8], settings: &Settings) -> Result<Topology, OpenError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let unreadable = |error: serde_json::Error| self.damaged("log.json", &error.to_string());
        let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(OpenError::Format {
                dir: self.path.clone(),
                found: format,
                known: FORMAT,
            });
        }
        let LogRecord { mut topology, .. } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if topology.name != settings.name {
            return Err(OpenError::OtherName {
                dir: self.path.clone(),
                found: topology.name,
                wanted: settings.name.clone(),
            });
        }
        if topology.lanes != settings.lanes {
            tracing::info!(
                lanes = topology.lanes,
                configured = settings.lanes,
                "the log keeps the number of lanes it was created with"
            );
        }
        self.merge_contexts(&mut topology, settings)?;
        Ok(topology)
    }

    /// Adds the program's new contexts to the log's; refuses where the program lacks one.
    fn merge_contexts(
        &self,
        topology: &mut Topology,
        settings: &Settings,
    ) -> Result<(), OpenError> {
        let lacks = |context: &&_| !settings.contexts.contains(context);
        let missing: Vec<_> = topology.contexts.iter().filter(lacks).cloned().collect();
        if !missing.is_empty() {
            return Err(OpenError::MissingContexts {
                dir: self.path.clone(),
                missing,
            });
        }
        let is_new = |context: &&_| !topology.contexts.contains(context);
        let added: Vec<_> = settings.contexts.iter().filter(is_new).cloned().collect();
        if added.is_empty() {
            return Ok(());
        }
        tracing::info!(contexts = ?added, "added to the log");
        topology.contexts.extend(added);
        self.write(topology)
            .map_err(|error| self.unavailable(error))
    }

    /// Replaces the record as a whole, durably.
    fn write(&self, topology: &Topology) -> io::Result<()> {
        let record = LogRecord {
            format: FORMAT,
            topology: topology.clone(),
        };
        let mut bytes = serde_json::to_vec_pretty(&record)?;
        bytes.push(b'\n');
        let new = self.path.join("log.json.new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.record_path())?;
        sync_directory(&self.path)
    }

    /// Removes what an interrupted creation has left, and returns where the store is made. Nothing
    /// that was ever acknowledged is there: events are appended under the store's own name only.
    pub(crate) fn clear_store_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.join("store.new");
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(aside),
        }
    }

    /// Gives the store that was made aside its name, durably.
    pub(crate) fn name_store(&self) -> io::Result<()> {
        let aside = self.path.join("store.new");
        sync_tree(&aside)?;
        fs::rename(&aside, self.store_path())?;
        sync_directory(&self.path)
    }

    /// Makes the names of the store and of its keyspaces durable. fjall syncs what is in a
    /// keyspace and not its name; without the folder, recovery drops its records in silence.
    pub(crate) fn sync_store(&self) -> io::Result<()> {
        sync_directory(&self.store_path().join("keyspaces"))?;
        sync_directory(&self.store_path())?;
        sync_directory(&self.path)
    }

    pub(crate) fn corrupt(
        &self,
        lane: Lane,
        at: LaneSequence,
        corruption: Corruption,
    ) -> OpenError {
        OpenError::Corrupt {
            dir: self.path.clone(),
            lane,
            at,
            corruption: Box::new(corruption),
        }
    }

    pub(crate) fn damaged(&self, file: &str, trouble: &str) -> OpenError {
        OpenError::Damaged {
            dir: self.path.clone(),
            file: file.to_owned(),
            trouble: trouble.to_owned(),
        }
    }

    pub(crate) fn unavailable(&self, error: impl Into<crate::Source>) -> OpenError {
        OpenError::Unavailable {
            dir: self.path.clone(),
            source: error.into(),
        }
    }
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(TryLockError::Error)?;
    for _ in 1..LOCK_TRIES_MAX {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY),
            settled => return settled.map(|()| file),
        }
    }
    file.try_lock().map(|()| file)
}

/// Syncs every file and directory below a path, and itself.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_directory(path)
}

/// A name is durable once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Makes the names of all directories above durable, up to one that this process may not open:
/// that one it has not made.
fn sync_above(path: &Path) -> io::Result<()> {
    for directory in path.ancestors().skip(1) {
        let here = directory.as_os_str().is_empty();
        let directory = if here { Path::new(".") } else { directory };
        match sync_directory(directory) {
            Ok(()) => {}
            Err(error) if stops_at(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory that is somebody else's, or of a file system that cannot sync directories.
fn stops_at(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported
    )
}
