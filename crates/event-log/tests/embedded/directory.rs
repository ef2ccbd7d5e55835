//! What a directory can be, and what is said about it.

use std::fs;

use foldline_event_log::{EventLog, embedded::OpenError};
use tempfile::TempDir;

use crate::{append, child, names, open, settings};

#[test]
fn a_second_opener_is_told_that_the_log_is_in_use() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), &["orders"]).unwrap();
    let second = open(dir.path(), &["orders"]).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    let (_, printed) = child::run("directory::a_child_opens_the_log", dir.path(), "");
    assert!(
        printed.contains("is in use by another process"),
        "{printed}"
    );
    drop(log);
    let (_, printed) = child::run("directory::a_child_opens_the_log", dir.path(), "");
    assert!(printed.contains("the child has it"), "{printed}");
}

#[test]
fn a_child_opens_the_log() {
    let Some(dir) = child::dir() else { return };
    match open(&dir, &["orders"]) {
        Ok(_) => println!("the child has it"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn an_unknown_format_is_refused_with_a_sentence() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path(), &["orders"]).unwrap());
    let path = dir.path().join("log.json");
    let record = fs::read_to_string(&path).unwrap();
    fs::write(&path, record.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let error = open(dir.path(), &["orders"]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "has format 2, this program knows format 1; open it with the program that wrote it"
        ),
        "{error}"
    );
}

#[test]
fn the_lanes_of_the_log_win_over_the_settings() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path(), &["orders"]).unwrap());
    let mut other = settings(&["orders"]);
    other.lanes *= 2;
    let log = foldline_event_log::Embedded::open(dir.path(), other).unwrap();
    assert_eq!(log.topology().lanes, settings(&[]).lanes);
}

#[test]
fn the_log_of_another_application_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path(), &["orders"]).unwrap());
    let mut other = settings(&["orders"]);
    other.name = "library".parse().unwrap();
    let error = foldline_event_log::Embedded::open(dir.path(), other).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is named `market`, not `library`"),
        "{error}"
    );
}

#[test]
fn settings_that_no_log_can_have_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut three = settings(&["orders"]);
    three.lanes = 3;
    let error = foldline_event_log::Embedded::open(dir.path(), three).unwrap_err();
    assert!(matches!(error, OpenError::Settings { .. }), "{error}");
    assert!(
        open(dir.path(), &["orders"]).is_ok(),
        "nothing was left behind"
    );
}

#[test]
fn a_missing_file_is_told_and_not_made_anew() {
    for file in ["log.json", "heads"] {
        let dir = TempDir::new().unwrap();
        drop(open(dir.path(), &["orders"]).unwrap());
        fs::remove_file(dir.path().join(file)).unwrap();
        for _ in 0..2 {
            let error = open(dir.path(), &["orders"]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{file}`: it is missing")),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_done_again() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("heads"), "half").unwrap();
    fs::write(dir.path().join("log.json.new"), "{").unwrap();
    let log = open(dir.path(), &["orders"]).unwrap();
    append(&log, &["a"]).await;
    assert_eq!(names(&log).await, ["a"]);
    assert!(log.health().is_ok());
}
