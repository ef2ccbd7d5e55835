//! States that memory does not hold: they leave it, come back, and survive what a disposable store
//! may meet.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use foldline_command::Settings;
use foldline_kernel::Version;

use super::world::{Ground, World, add, add_of, at_version, copy as mirror, user, within};

const USERS: u128 = 300;
/// Room for a few dozen of them.
const BYTES: usize = 20_000;

/// A world in which most users are in the local store at any time.
async fn world() -> World {
    let ground = Ground::new(1);
    let settings = Settings {
        state: ground.states(BYTES, 50),
        ..Settings::default()
    };
    World::on(ground, settings).await
}

impl World {
    /// One command of each user.
    async fn all_add(&self, key: &str) {
        for n in 0..USERS {
            self.accepted(add_of(user(n), 1, key)).await;
        }
    }

    /// Every user knows these keys, and no more has happened.
    async fn assert_all_know(&self, keys: &[&str]) {
        for n in 0..USERS {
            for (before, key) in keys.iter().enumerate() {
                let repeat = self.accepted(add_of(user(n), 1, key)).await;
                let version = Version(before as u64 + 1);
                assert_eq!((repeat.replayed, repeat.version), (true, version), "{n}");
            }
            let at = at_version(keys.len() as u64, add_of(user(n), 0, "asked"));
            self.submit(at).await.expect("it has this version");
        }
    }

    fn state(&self) -> PathBuf {
        self.ground.dir.path().join("state")
    }

    /// Ends this life without a word, does something to what is left, and begins another.
    async fn killed(mut self, meanwhile: impl FnOnce(&Path)) -> Self {
        // Neither is brought up to date at the end.
        self.ground.failing.ends.store(u32::MAX, Relaxed);
        let state = self.state();
        let kept = self.ground.dir.path().join("kept");
        copy(&state, &kept);
        within(self.side.stop()).await;
        self.ground.failing.ends.store(0, Relaxed);
        fs::remove_dir_all(&state).expect("it is there");
        fs::rename(kept, &state).expect("it is there");
        meanwhile(&state);
        self.side = self.ground.start::<1>(self.settings.clone());
        within(self.side.ready()).await;
        self
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a name");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a kind").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("a file")),
        }
    }
}

/// Every file below a directory.
fn files(below: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).expect("a directory") {
        let path = entry.expect("a name").path();
        match path.is_dir() {
            true => self::files(&path, files),
            false => files.push(path),
        }
    }
}

#[tokio::test]
async fn who_left_memory_is_decided_on_as_ever() {
    let world = world().await;
    for key in ["a", "b", "c"] {
        world.all_add(key).await;
    }
    world.assert_all_know(&["a", "b", "c"]).await;
    assert_eq!(world.events().await.len() as u128, 3 * USERS);
    let world = world.restarted::<1>().await;
    world.assert_all_know(&["a", "b", "c"]).await;
    world.all_add("d").await;
    world.assert_all_know(&["a", "b", "c", "d"]).await;
}

#[tokio::test]
async fn a_start_goes_on_from_whatever_a_killed_process_has_left() {
    let mut world = world().await;
    let mut keys = Vec::new();
    for key in ["a", "b", "c"] {
        world.all_add(key).await;
        keys.push(key);
        world = world.killed(|_| {}).await;
        world.assert_all_know(&keys).await;
    }
}

#[tokio::test]
async fn a_start_without_the_store_reads_snapshots_and_log() {
    let world = world().await;
    world.all_add("a").await;
    let world = world.restarted::<1>().await;
    world.all_add("b").await;
    let gone = |state: &Path| fs::remove_dir_all(state).expect("it is there");
    let world = world.killed(gone).await;
    world.assert_all_know(&["a", "b"]).await;
}

#[tokio::test]
async fn snapshots_of_a_start_from_the_store_lack_nobody() {
    let world = world().await;
    world.all_add("a").await;
    // Whoever changed before the store's marker is not read again.
    let world = world.killed(|_| {}).await;
    world.accepted(add(1, "b")).await;
    let mut world = world.restarted::<1>().await;
    assert!(world.ground.marker().await.is_some());
    within(world.side.stop()).await;
    fs::remove_dir_all(world.state()).expect("it is there");
    world.side = world.ground.start::<1>(world.settings.clone());
    within(world.side.ready()).await;
    for n in 0..USERS {
        let repeat = world.accepted(add_of(user(n), 1, "a")).await;
        assert!(repeat.replayed, "{n}");
    }
}

#[tokio::test]
async fn a_store_that_is_torn_is_begun_anew() {
    let mut world = world().await;
    world.all_add("a").await;
    let cuts: [fn(u64) -> u64; 3] = [
        |_| 0,
        |length| length / 2,
        |length| length.saturating_sub(1),
    ];
    for cut in cuts {
        world = world
            .killed(|state| {
                let mut all = Vec::new();
                files(state, &mut all);
                for file in all {
                    let file = File::options().write(true).open(file).expect("a file");
                    let length = file.metadata().expect("a length").len();
                    file.set_len(cut(length)).expect("it can be cut");
                }
            })
            .await;
        world.assert_all_know(&["a"]).await;
    }
}

#[tokio::test]
async fn states_of_older_rules_are_folded_anew_from_the_store_too() {
    let world = world().await;
    world.all_add("a").await;
    world.accepted(add(2, "b")).await;
    let world = world.restarted::<2>().await;
    world.accepted(mirror("c")).await;
    let events = world.events().await;
    let last = events.last().expect("there are events");
    assert_eq!(&last.data[..], br#"{"value":30,"version":2}"#);
    let world = world.restarted::<1>().await;
    world.accepted(mirror("d")).await;
    let events = world.events().await;
    let last = events.last().expect("there are events");
    assert_eq!(&last.data[..], br#"{"value":3,"version":2}"#);
}
