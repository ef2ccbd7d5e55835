//! Acknowledged events that are not there any more are told, never dropped in silence.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use foldline_event_log::{
    Announcement, Corruption, EventLog, FollowError, From, Place, embedded::OpenError,
};
use foldline_kernel::LaneSequence;
use tempfile::TempDir;

use crate::{LANE, append, names, open, raw::Raw, read};

#[tokio::test]
async fn a_journal_that_was_cut_off_is_told_at_open() {
    let dir = TempDir::new().unwrap();
    let record = write(dir.path()).await;
    let (journal, at) = find(dir.path(), &record);
    File::options()
        .write(true)
        .open(journal)
        .unwrap()
        .set_len(at)
        .unwrap();
    // The store forgets the torn tail as it opens; the log goes on saying so.
    for _ in 0..2 {
        match open(dir.path(), &["orders"]).unwrap_err() {
            OpenError::Corrupt {
                lane, corruption, ..
            } => {
                assert_eq!(lane, LANE);
                let told = Corruption::CutOff {
                    found: LaneSequence(2),
                    acknowledged: LaneSequence(3),
                };
                assert_eq!(*corruption, told);
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_journal_is_told_at_open() {
    let dir = TempDir::new().unwrap();
    let record = write(dir.path()).await;
    let (journal, at) = find(dir.path(), &record);
    flip(&journal, at + 10);
    // The start that failed has changed nothing, so the next one says the same.
    for _ in 0..2 {
        match open(dir.path(), &["orders"]).unwrap_err() {
            OpenError::Corrupt { lane, at, .. } => assert_eq!((lane, at.0), (LANE, 3)),
            other => panic!("{other}"),
        }
    }
    flip(&journal, at + 10);
    assert_eq!(
        names(&open(dir.path(), &["orders"]).unwrap()).await.len(),
        3
    );
}

#[tokio::test]
async fn a_store_that_is_gone_is_told_at_open() {
    let dir = TempDir::new().unwrap();
    write(dir.path()).await;
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let error = open(dir.path(), &["orders"]).unwrap_err().to_string();
    assert!(
        error.contains("ends at lane sequence 0, though 3 was acknowledged"),
        "{error}"
    );
}

#[tokio::test]
async fn a_last_record_that_is_gone_is_told_at_open() {
    let dir = TempDir::new().unwrap();
    write(dir.path()).await;
    // An old file of heads, so that only the store itself can tell.
    fs::copy(dir.path().join("heads.old"), dir.path().join("heads")).unwrap();
    Raw::open(dir.path()).remove(LANE, LaneSequence(3));
    let error = open(dir.path(), &["orders"]).unwrap_err().to_string();
    assert!(
        error.contains("ends at lane sequence 2, though 3 was acknowledged"),
        "{error}"
    );
}

/// As after a crash between the commit and the file of heads, or a power cut that took its pages.
#[tokio::test]
async fn heads_that_lag_behind_are_no_alarm() {
    let dir = TempDir::new().unwrap();
    write(dir.path()).await;
    fs::copy(dir.path().join("heads.old"), dir.path().join("heads")).unwrap();
    let log = open(dir.path(), &["orders"]).unwrap();
    assert_eq!(names(&log).await, ["a", "b", "c"]);
    let epoch = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap()
        .epoch();
    assert_eq!(epoch.0, 2);
}

/// What the disk itself has damaged, not a record's bytes but a block of many.
#[tokio::test]
async fn a_damaged_block_is_told_where_it_begins() {
    let dir = TempDir::new().unwrap();
    let record = write(dir.path()).await;
    Raw::open(dir.path()).flush(LANE);
    let (table, at) = find(&dir.path().join("store/keyspaces"), &record);
    flip(&table, at + 10);
    let log = open(dir.path(), &["orders"]);
    let log = match log {
        Ok(log) => log,
        // The end of a lane is looked at already when the log opens.
        Err(OpenError::Corrupt { lane, .. }) => return assert_eq!(lane, LANE),
        Err(other) => panic!("{other}"),
    };
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    match follower.next_batch(10).await {
        Err(FollowError::Corrupt { place, .. }) => {
            assert_eq!(place, Place::LaneSequence(LaneSequence(1)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_record_in_the_place_of_another_is_told() {
    let dir = TempDir::new().unwrap();
    write(dir.path()).await;
    Raw::open(dir.path()).copy(LANE, LaneSequence(1), LaneSequence(2));
    let log = open(dir.path(), &["orders"]).unwrap();
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    assert_eq!(follower.next_batch(10).await.unwrap().len(), 1);
    let error = follower.next_batch(10).await.unwrap_err().to_string();
    assert!(
        error.contains("lane 1 is corrupt at lane sequence 2"),
        "{error}"
    );
}

/// Writes `a`, `b` and `c`, closes the log, and returns the last record; `heads.old` is the file
/// of heads as it was before the first.
async fn write(dir: &Path) -> Vec<u8> {
    drop(open(dir, &["orders"]).unwrap());
    fs::copy(dir.join("heads"), dir.join("heads.old")).unwrap();
    let log = open(dir, &["orders"]).unwrap();
    append(&log, &["a", "b", "c"]).await;
    read(&log).await.last().unwrap().record.to_vec()
}

/// Finds the newest file below a directory that holds these bytes, and where.
fn find(dir: &Path, wanted: &[u8]) -> (PathBuf, u64) {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let mut windows = bytes.windows(wanted.len());
            if let Some(at) = windows.rposition(|window| window == wanted) {
                return (path, at as u64);
            }
        }
    }
    panic!("no file has the record");
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 1;
    fs::write(path, bytes).unwrap();
}
