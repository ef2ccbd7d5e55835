//! Random commands of several users over several lanes, with random faults, retries with the same
//! key and restarts in the middle of it; afterwards the log and the answers are held against each
//! other.
//!
//! A life is a runtime with a command side and its callers on it. It ends by dropping the runtime,
//! wherever everything was; what had no certain answer is sent again in the next life.
//! `FOLDLINE_SEED` runs one seed alone.

mod callers;
mod check;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use foldline_command::{Settings, StateSettings};
use foldline_event_log::{EventLog, faulty::Odds};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{runtime, sync::Semaphore};

use self::callers::{Call, History, call};
use super::world::{Ground, within};

const SEEDS: std::ops::Range<u64> = 0..16;
const LANES: u16 = 2;
const USERS: u128 = 6;
const LIVES: usize = 5;
const CALLS_PER_LIFE: usize = 120;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_doubled() {
    let one = std::env::var("FOLDLINE_SEED").ok();
    let one = one.map(|seed| seed.parse().expect("FOLDLINE_SEED is a number"));
    let seeds = one.map_or(SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        println!("FOLDLINE_SEED={seed}");
        run(seed);
    }
}

fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let ground = Ground::new(LANES);
    let history = Arc::new(Mutex::new(History::default()));
    let mut open = Vec::new();
    for life in 0..=LIVES {
        let last = life == LIVES;
        if last {
            ground.faults.clear();
        } else {
            ground.faults.at_random(random.next_u64(), odds());
            ground
                .failing
                .puts
                .store(random.random_range(0..3), Relaxed);
            ground
                .failing
                .ends
                .store(random.random_range(0..2), Relaxed);
            let calls = (0..CALLS_PER_LIFE).map(|n| Call::random(&mut random, life, n));
            open.extend(calls);
        }
        open.shuffle(&mut random);
        let answers_until_end = (!last).then(|| random.random_range(0..CALLS_PER_LIFE));
        live(&ground, &open, &history, answers_until_end, &mut random);
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|call| !history.is_settled(call));
    }
    assert!(open.is_empty(), "without an answer: {open:?}");
    let runtime = runtime();
    let history = history.lock().unwrap_or_else(PoisonError::into_inner);
    for lane in ground.log.topology().all_lanes() {
        let events = runtime.block_on(ground.events(lane));
        check::lane(&events, &history, |user| {
            ground.log.topology().lane_of(user) == lane
        });
    }
}

/// Runs every call that is open, until all have an answer or the life ends.
fn live(
    ground: &Ground,
    open: &[Call],
    history: &Arc<Mutex<History>>,
    answers_until_end: Option<usize>,
    random: &mut StdRng,
) {
    let settings = Settings {
        queue_commands_max: random.random_range(4..64),
        batch_events_max: random.random_range(3..20),
        snapshot_events: random.random_range(1..30),
        command_timeout: Duration::from_secs(2),
        state: match random.random_bool(0.7) {
            true => ground.states(random.random_range(0..5_000), random.random_range(1..30)),
            false => StateSettings::default(),
        },
        ..Settings::default()
    };
    let runtime = runtime();
    runtime.block_on(async {
        let side = Arc::new(ground.start::<1>(settings));
        let answers = Arc::new(Semaphore::new(0));
        let callers: Vec<_> = open
            .iter()
            .map(|one| {
                let answered = answers.clone();
                let calling = call(
                    side.clone(),
                    one.clone(),
                    history.clone(),
                    random.next_u64(),
                );
                tokio::spawn(async move {
                    calling.await;
                    answered.add_permits(1);
                })
            })
            .collect();
        let awaited = answers_until_end.unwrap_or(open.len()).min(open.len());
        let awaited = u32::try_from(awaited).expect("a few hundred");
        let _ = within(answers.acquire_many(awaited)).await;
        if random.random_bool(0.3) {
            side.stop().await;
        }
        drop(callers);
    });
    // A slice of snapshots that is being written on another thread is finished before the next life.
    drop(runtime);
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

fn odds() -> Odds {
    Odds {
        lost_answer: 10,
        unknown_nothing: 10,
        fenced: 150,
        full: 20,
    }
}
