//! The power goes. Killing a process does not test the sync, because the system still writes what
//! the process has handed over; here the disk forgets whatever was not synced.

use std::{path::Path, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    check::{assert_repeats, assert_whole, losses},
    disk::{Disk, Fate},
    load::{Load, Person, accepted},
    node::{Node, until},
};

const ROUNDS: usize = 10;
const ACCEPTED_PER_ROUND_MAX: u64 = 1_500;
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);
/// How many times a log is cut off while it is being made.
const BEGINNINGS: usize = 8;
/// About how many writes and syncs make a log; later cuts fall into its first service.
const BEGINNING_STEPS_MAX: usize = 160;

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_command_is_lost_when_the_power_goes() {
    let _alone = crate::alone().await;
    let mut dice = dice("the power goes");
    let disk = Disk::new();
    let mut node = disk.start().await;
    let mut told = Vec::new();
    for round in 1..=ROUNDS {
        let load = Load::start(&node);
        let drawn = dice.random_range(0..ACCEPTED_PER_ROUND_MAX);
        until_accepted(&node, &load, drawn).await;
        node.kill();
        let new = accepted(load.end().await);
        let lost = Lost::of(round, &mut dice);
        println!("round {round}: {} accepted, {lost:?}", new.len());
        lost.lose(&disk, &mut dice);

        node = disk.start().await;
        told.extend(new.iter().cloned());
        let losses = losses(&node, &told).await;
        assert!(
            losses.is_empty(),
            "{} of {}: {:#?}",
            losses.len(),
            told.len(),
            losses.first()
        );
        assert_repeats(&node, &new).await;
    }
    node.kill();
    disk.lose_power(&mut dice, |_, _| Fate::Lost);
    let node = Node::start(disk.data()).await;
    assert_whole(&node, &told).await;
    node.until_caught_up().await;
    node.assert_verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_can_be_cut_off_while_it_is_being_made() {
    let _alone = crate::alone().await;
    let mut dice = dice("the first steps");
    for beginning in 1..=BEGINNINGS {
        let disk = Disk::new();
        let mut node = disk.spawn();
        let drawn = dice.random_range(0..BEGINNING_STEPS_MAX);
        let steps = until("the node has begun", ACCEPTED_WITHIN, async || {
            let trace = std::fs::read_to_string(disk.trace()).unwrap_or_default();
            let steps = trace.lines().count();
            (steps >= drawn)
                .then_some(steps)
                .ok_or_else(|| node.output())
        });
        let steps = steps.await;
        node.kill();
        let lost = Lost::of(beginning, &mut dice);
        println!("beginning {beginning}: {steps} steps, {lost:?}");
        lost.lose(&disk, &mut dice);

        let node = disk.start().await;
        let command = Person::new(1).next();
        let answer = command.send(&node.client, &node.url).await;
        assert_eq!(answer.expect("the node answers").status, 201);
    }
}

/// The test above could fail: where the disk lies about syncs, the check finds the loss.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_about_syncs_is_found_out() {
    let _alone = crate::alone().await;
    let mut dice = dice("the disk lies");
    let disk = Disk::lying();
    let mut node = disk.start().await;
    let load = Load::start(&node);
    until_accepted(&node, &load, 500).await;
    node.kill();
    let told = accepted(load.end().await);
    disk.lose_power(&mut dice, |_, _| Fate::Lost);

    let node = Node::start(disk.data()).await;
    let losses = losses(&node, &told).await;
    println!(
        "{} of {} acknowledged commands are gone",
        losses.len(),
        told.len()
    );
    assert_eq!(losses.len(), told.len(), "{losses:#?}");
}

/// The log's own second witness: `heads` is written after each sync and not synced itself, so it
/// never says more than what is durable, unless the disk has lied.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_that_its_disk_has_lied() {
    let _alone = crate::alone().await;
    let mut dice = dice("the disk lies, and `heads` is left");
    let disk = Disk::lying();
    let mut node = disk.start().await;
    let load = Load::start(&node);
    until_accepted(&node, &load, 200).await;
    node.kill();
    load.end().await;
    disk.lose_power(&mut dice, |path, _| heads_kept(path));

    let ended = Node::try_start(disk.data()).await;
    let ended = ended
        .err()
        .expect("a node that misses acknowledged events serves nobody");
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    let told = "is corrupt: lane ";
    assert!(ended.output.contains(told), "{}", ended.output);
    assert!(
        ended
            .output
            .contains("the log ends at lane sequence 0, though "),
        "{}",
        ended.output
    );
    assert!(
        ended.output.contains("restore the directory from a backup"),
        "{}",
        ended.output
    );
}

/// What one end of a node takes with it.
#[derive(Debug)]
enum Lost {
    /// The process alone: the system still has what it was handed, for a later loss to take.
    Process,
    /// All that was not synced.
    Everything,
    /// All but `heads`, which claims as much as it ever does.
    AllButHeads,
    /// Of each file what chance takes.
    ByChance,
}

impl Lost {
    fn of(round: usize, dice: &mut StdRng) -> Self {
        match round {
            1 => Self::Everything,
            2 => Self::AllButHeads,
            3 => Self::ByChance,
            _ => match dice.random_range(0..6) {
                0 | 1 => Self::Process,
                2 => Self::Everything,
                3 => Self::AllButHeads,
                _ => Self::ByChance,
            },
        }
    }

    fn lose(&self, disk: &Disk, dice: &mut StdRng) {
        match self {
            Self::Process => {}
            Self::Everything => disk.lose_power(dice, |_, _| Fate::Lost),
            Self::AllButHeads => disk.lose_power(dice, |path, _| heads_kept(path)),
            Self::ByChance => disk.lose_power(dice, |_, dice| match dice.random_range(0..3) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                _ => Fate::Some,
            }),
        }
    }
}

fn heads_kept(path: &Path) -> Fate {
    if path.ends_with("heads") {
        Fate::Kept
    } else {
        Fate::Lost
    }
}

async fn until_accepted(node: &Node, load: &Load, count: u64) {
    until(
        "enough commands are accepted",
        ACCEPTED_WITHIN,
        async || {
            if load.accepted() >= count {
                return Ok(());
            }
            let seen = format!("{count} wanted; {}\n{}", load.state(), node.output());
            Err(seen)
        },
    )
    .await;
}

/// Dice that fall the same way for a seed, which is printed.
fn dice(what: &str) -> StdRng {
    let given = std::env::var("FOLDLINE_SEED").ok();
    let given = given.map(|seed| seed.parse().expect("FOLDLINE_SEED is a number"));
    let seed = given.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("{what}: FOLDLINE_SEED={seed} brings this run back");
    StdRng::seed_from_u64(seed)
}
