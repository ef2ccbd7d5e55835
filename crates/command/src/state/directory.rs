//! The directory of the local store: who has it, and whether what lies there can be believed.
//!
//! ```text
//!   state/0/lock         held by the process that uses this place
//!   state/0/state.json   of which log and rules, since which start of the machine, which store
//!   state/0/store-4/     the states (fjall)
//! ```
//!
//! Nothing here is synced, since all of it can be had again. What a process has written survives
//! its death, because the system has it; it does not survive the system's. So the record names the
//! start of the machine, and a store of an earlier one is believed only if it was closed in order,
//! which syncs it.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use foldline_kernel::LogId;
use serde::{Deserialize, Serialize};

/// The format of directory, keys and states that this program reads and writes.
const FORMAT: u64 = 1;

/// How many processes of one machine may share a data directory.
const PLACES_MAX: usize = 16;

/// What a store is of. These names are on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) log_id: LogId,
    pub(crate) lanes: u16,
    /// The revision of each context's state.
    pub(crate) revisions: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    format: u64,
    origin: Origin,
    /// Names the running of the machine in which it was written; none where that cannot be told.
    machine: Option<String>,
    /// Whether everything was synced and nothing has been written since.
    closed: bool,
    /// The number of the store.
    store: u64,
}

/// A place in the directory, this process's own for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    record: Record,
    /// Locks end with their file, also when the process is killed.
    _lock: File,
}

impl Directory {
    /// Takes the first free place, and whatever store lies there if it can be believed.
    pub(crate) fn open(path: &Path, origin: Origin) -> io::Result<Self> {
        for place in 0..PLACES_MAX {
            let path = path.join(place.to_string());
            fs::create_dir_all(&path)?;
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path.join("lock"))?;
            match lock.try_lock() {
                Ok(()) => return Self::take(path, lock, origin),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        let text = format!("{PLACES_MAX} processes use {} already", path.display());
        Err(io::Error::other(text))
    }

    fn take(path: PathBuf, lock: File, origin: Origin) -> io::Result<Self> {
        let found = fs::read(path.join("state.json")).ok();
        let found = found.map(|bytes| serde_json::from_slice::<Record>(&bytes));
        let believed = match found {
            None => None,
            Some(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "local states: unreadable, begun anew");
                None
            }
            Some(Ok(record)) => match record.doubt(&origin) {
                None => Some(record),
                Some(doubt) => {
                    tracing::info!(path = %path.display(), "local states: {doubt}, begun anew");
                    None
                }
            },
        };
        // A number that never had a store: one that was not removed is not taken for the new one.
        let store = believed.map_or_else(|| free_number(&path), |record| Ok(record.store))?;
        let record = Record {
            format: FORMAT,
            origin,
            machine: machine(),
            closed: false,
            store,
        };
        let directory = Self {
            path,
            record,
            _lock: lock,
        };
        // First: from here on a store of an earlier start of the machine is not believed.
        directory.write()?;
        directory.remove_others()?;
        Ok(directory)
    }

    /// Returns where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(format!("store-{}", self.record.store))
    }

    /// Gives up the store that is there; the next one begins empty.
    pub(crate) fn begin_anew(&mut self) -> io::Result<()> {
        self.record.store += 1;
        self.record.closed = false;
        self.write()
    }

    /// Notes that the store is synced and will not be written any more.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.record.closed = true;
        self.write()
    }

    /// Replaces the record as a whole, so that it is never found half written.
    fn write(&self) -> io::Result<()> {
        let new = self.path.join("state.json.new");
        let file = File::create(&new)?;
        serde_json::to_writer_pretty(&file, &self.record)?;
        if self.record.closed {
            file.sync_all()?;
        }
        fs::rename(&new, self.path.join("state.json"))
    }

    fn remove_others(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if store_number(&path).is_some_and(|number| number != self.record.store) {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }
}

impl Record {
    /// Says why a store is not to be believed.
    fn doubt(&self, origin: &Origin) -> Option<&'static str> {
        let known =
            |(context, revision): (&String, &u32)| origin.revisions.get(context) == Some(revision);
        let same_machine = self.machine.is_some() && self.machine == machine();
        if self.format != FORMAT {
            Some("of another format")
        } else if (self.origin.log_id, self.origin.lanes) != (origin.log_id, origin.lanes) {
            Some("of another log")
        } else if !self.origin.revisions.iter().all(known) {
            Some("of other rules")
        } else if !self.closed && !same_machine {
            Some("not closed before the machine went down")
        } else {
            None
        }
    }
}

fn free_number(path: &Path) -> io::Result<u64> {
    let mut free = 0;
    for entry in fs::read_dir(path)? {
        let number = store_number(&entry?.path());
        free = free.max(number.map_or(0, |number| number + 1));
    }
    Ok(free)
}

fn store_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("store-")?.parse().ok()
}

/// Names the running of the machine, where the system does.
fn machine() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn origin(log: u128, revision: u32) -> Origin {
        Origin {
            log_id: LogId(Uuid::from_u128(log)),
            lanes: 8,
            revisions: [("orders".to_owned(), revision)].into(),
        }
    }

    #[test]
    fn what_cannot_be_believed_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let opened = |origin| {
            let directory = Directory::open(dir.path(), origin).unwrap();
            fs::create_dir_all(directory.store()).unwrap();
            directory
        };
        let first = opened(origin(1, 1)).store();
        assert_eq!(opened(origin(1, 1)).store(), first, "the same again");
        let other_rules = opened(origin(1, 2)).store();
        assert_ne!(other_rules, first);
        assert!(!first.exists(), "what is given up is removed");
        let other_log = opened(origin(2, 2)).store();
        assert_ne!(other_log, other_rules);
        let mut more = origin(2, 2);
        more.revisions.insert("payments".to_owned(), 1);
        assert_eq!(opened(more).store(), other_log, "a new context");
        let record = dir.path().join("0/state.json");
        let text = fs::read_to_string(&record).unwrap();
        fs::write(&record, &text[..text.len() / 2]).unwrap();
        assert_ne!(opened(origin(2, 2)).store(), other_log, "cut off");
    }

    #[test]
    fn another_start_of_the_machine_believes_only_what_was_closed() {
        let dir = tempfile::tempdir().unwrap();
        let opened = || {
            let mut directory = Directory::open(dir.path(), origin(1, 1)).unwrap();
            fs::create_dir_all(directory.store()).unwrap();
            directory.record.machine = Some("another".to_owned());
            directory
        };
        let first = opened();
        first.write().unwrap();
        let path = first.store();
        drop(first);
        let mut second = opened();
        assert_ne!(second.store(), path);
        second.close().unwrap();
        let path = second.store();
        drop(second);
        assert_eq!(opened().store(), path);
    }

    #[test]
    fn every_process_has_a_place_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open(dir.path(), origin(1, 1)).unwrap();
        let second = Directory::open(dir.path(), origin(1, 1)).unwrap();
        assert_ne!(first.path, second.path);
    }
}
