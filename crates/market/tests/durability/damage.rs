//! Bytes of the log rot or go missing: the node tells where, and passes nothing by.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    check::assert_whole,
    disk::entries,
    load::{Answer, Person},
    node::{Ended, Node, until},
};

const COMMANDS: usize = 20;
/// So many orders of so many lines are more than a lane holds in memory before it writes a table.
const LARGE_COMMANDS: usize = 400;
const LARGE_LINES: usize = 200;
const RECORDS_PER_BLOCK_MAX: usize = 8;
const TOLD_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_in_a_journal_is_told_at_the_start() {
    let _alone = crate::alone().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let told = write(&data, COMMANDS, 1).await;
    let (journal, at) = find(&data.join("log/store"), &told[COMMANDS / 2]);
    flip(&journal, at);
    // A start that fails must change nothing: the second one tells the same.
    for _ in 0..2 {
        let ended = refused(&data).await;
        let (lane, at) = (lane(&told[0]), COMMANDS / 2 + 1);
        let sentence =
            format!("is corrupt: lane {lane} at lane sequence {at}: the record is damaged: ");
        assert!(
            ended.output.contains(&sentence),
            "{sentence}\n{}",
            ended.output
        );
    }
    flip(&journal, at);
    assert_whole(&Node::start(&data).await, &told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_its_end_is_told_at_the_start() {
    let _alone = crate::alone().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let told = write(&data, COMMANDS, 1).await;
    let (journal, at) = find(
        &data.join("log/store"),
        told.last().expect("there are some"),
    );
    let journal = File::options().write(true).open(journal);
    journal
        .and_then(|journal| journal.set_len(at))
        .expect("a file of ours");
    for _ in 0..2 {
        let ended = refused(&data).await;
        let (lane, last) = (lane(&told[0]), COMMANDS);
        let sentence = format!(
            "is corrupt: lane {lane} at lane sequence {last}: the log ends at lane sequence {}, \
             though {last} was acknowledged; restore the directory from a backup",
            last - 1
        );
        assert!(
            ended.output.contains(&sentence),
            "{sentence}\n{}",
            ended.output
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_in_a_table_is_told_where_it_is_read() {
    let _alone = crate::alone().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let told = write(&data, LARGE_COMMANDS, LARGE_LINES).await;
    let damaged = LARGE_COMMANDS / 8;
    let (table, at) = find(&data.join("log/store/keyspaces"), &told[damaged]);
    flip(&table, at);

    // The lane itself starts from its snapshots, and views may have no reason to read so far back.
    let mut node = Node::spawn(&data, &[]);
    node.until_alive().await;
    let export = node
        .client
        .get(format!("{}/v1/admin/export/orders", node.url))
        .send()
        .await;
    let export = export.expect("the node answers").text().await;
    assert!(
        export.is_err(),
        "the export breaks off where the log cannot be read"
    );
    let told_at = until("the node has said where", TOLD_WITHIN, async || {
        let output = node.output();
        told_at(&output, &lane(&told[0])).ok_or(output)
    })
    .await;
    println!(
        "lane sequence {} is damaged, told at {told_at}:\n{}",
        damaged + 1,
        node.output()
    );
    // Records share a block, which is damaged as a whole: it is told where the block begins.
    let before = (damaged + 1)
        .checked_sub(told_at)
        .expect("nothing damaged is passed by");
    assert!(
        before < RECORDS_PER_BLOCK_MAX,
        "{before} records before the damaged one"
    );
}

/// Where the node says that a lane is damaged.
fn told_at(output: &str, lane: &str) -> Option<usize> {
    let (_, rest) = output.split_once(&format!("lane {lane} is corrupt at lane sequence "))?;
    let (at, rest) = rest.split_once(": ")?;
    rest.starts_with("the record is damaged: ")
        .then(|| at.parse().expect("a number"))
}

/// Lets one person send commands, and stops the node.
async fn write(data: &Path, commands: usize, lines: usize) -> Vec<Answer> {
    let node = Node::start(data).await;
    let mut person = Person::new(lines);
    let mut told = Vec::new();
    for _ in 0..commands {
        let answer = person.next().send(&node.client, &node.url).await;
        let answer = answer.expect("the node answers");
        assert_eq!(answer.status, 201, "{answer:?}");
        told.push(answer);
    }
    node.stop().await;
    told
}

/// Starts a node that must refuse to.
async fn refused(data: &Path) -> Ended {
    let ended = Node::try_start(data).await;
    let ended = ended
        .err()
        .expect("a node whose log is damaged does not start");
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    ended
}

/// The lane of a command's user.
fn lane(answer: &Answer) -> String {
    let position = answer.position();
    let (_, place) = position.split_once('/').expect("a position");
    let (lane, _) = place.split_once('@').expect("a position");
    lane.to_owned()
}

/// Finds the idempotency key of a command in the files below a directory.
fn find(directory: &Path, of: &Answer) -> (PathBuf, u64) {
    let wanted = format!(r#""commandid":"{}""#, of.command.key);
    let wanted = wanted.as_bytes();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).expect("a file of ours");
            if let Some(at) = bytes.windows(wanted.len()).position(|some| some == wanted) {
                return (path, (at + wanted.len() - 2) as u64);
            }
        }
    }
    panic!(
        "no file below {} has the command {}",
        directory.display(),
        of.command.key
    );
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).expect("a file of ours");
    bytes[at as usize] ^= 1;
    fs::write(path, bytes).expect("a file of ours");
}
