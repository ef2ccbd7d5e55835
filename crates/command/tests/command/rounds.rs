//! However a snapshot round or a write to the local store was cut off, the lane that is opened from
//! it is the one that reading the whole log gives: states, versions, remembered commands,
//! quarantines.
//!
//! A life is a command side with callers on it; one user is in nearly every batch, some commands
//! and some facts spoil a state; memory often holds a few users only. It ends wherever everything
//! was. Then the lane is opened from the log alone, from the snapshots and from the local store, and
//! asked for all it knows. `FOLDLINE_SEED` runs one
//! seed alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use foldline_command::{
    Accepted, Answer, CommandError, CommandSide, Request, Settings, StateSettings,
};
use foldline_event_log::{EventLog, faulty::Odds};
use foldline_kernel::{CommandId, UserId};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{runtime, sync::Semaphore};

use super::{quarantine::foreign, world::*};

const SEEDS: std::ops::Range<u64> = 0..12;
const LIVES: usize = 5;
/// Three slices and a bit.
const USERS: u128 = 50;
const CALLERS: u64 = 12;

/// All that a lane can be asked about a user.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Quarantined {
        since: String,
        reason: String,
    },
    Well {
        /// Version and value, as a refusal says them.
        counter: String,
        mirror: u64,
        remembered: BTreeMap<CommandId, Accepted>,
    },
}

/// What happened over all lives, so that the test cannot come to test nothing.
#[derive(Debug, Default)]
struct Tally {
    markers: usize,
    beyond_markers: usize,
    quarantined: usize,
    cured: usize,
}

#[test]
fn a_lane_opened_from_any_round_is_the_one_that_the_log_gives() {
    let one = std::env::var("FOLDLINE_SEED").ok();
    let one = one.map(|seed| seed.parse().expect("FOLDLINE_SEED is a number"));
    let seeds = one.map_or(SEEDS, |seed: u64| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        println!("FOLDLINE_SEED={seed}");
        run(seed, &mut tally);
    }
    println!("{tally:?}");
    if one.is_none() {
        let Tally {
            markers,
            beyond_markers,
            quarantined,
            cured,
        } = tally;
        assert!(
            [markers, beyond_markers, quarantined, cured]
                .iter()
                .all(|times| *times > 0)
        );
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut random = StdRng::seed_from_u64(seed);
    let ground = Arc::new(Ground::new(1));
    let mut sent = BTreeMap::new();
    for life in 0..LIVES {
        let requests: Vec<_> = (0..random.random_range(20..400))
            .map(|n| command(&mut random, &format!("{life}-{n}")))
            .collect();
        let known = requests.iter().map(|one| (one.key.clone(), one.clone()));
        sent.extend(known);
        if random.random_bool(0.5) {
            ground.faults.at_random(random.next_u64(), odds());
        }
        live(&ground, &requests, &mut random);
        ground.faults.clear();
        // From here on nothing of that life comes to the log any more.
        drop(in_runtime(ground.writer()));
        if random.random_bool(0.3) {
            in_runtime(spoil(&ground, &mut random));
        }
        let (marker, end) = in_runtime(async {
            let heads = ground.log.heads(LANE).await.expect("a lane");
            (ground.marker().await, heads.lane_sequence)
        });
        tally.markers += usize::from(marker.is_some());
        tally.beyond_markers += usize::from(marker.is_some_and(|marker| marker < end));
        compare(&ground, &sent, tally);
    }
}

/// Mostly a local store with little memory beside it: for nobody, for a few users, for all.
fn states(ground: &Ground, random: &mut StdRng) -> StateSettings {
    let bytes = [0, 2_000, 10_000, 1 << 20][random.random_range(0..4)];
    match random.random_bool(0.8) {
        true => ground.states(bytes, random.random_range(1..60)),
        false => StateSettings::default(),
    }
}

fn odds() -> Odds {
    Odds {
        lost_answer: 10,
        unknown_nothing: 10,
        fenced: 0,
        full: 20,
    }
}

/// One user in two commands, and now and then what spoils a state.
fn command(random: &mut StdRng, key: &str) -> Request {
    let user = match random.random_bool(0.5) {
        true => user(0),
        false => user(random.random_range(1..USERS)),
    };
    match random.random_range(0..200) {
        0 => request(user, "counters/poison", "{}", key),
        1 => request(user, "counters/panic", "{}", key),
        2..50 => request(user, "mirrors/copy", "{}", key),
        50..80 => request(user, "counters/note", r#"{"bytes":3}"#, key),
        _ => add_of(user, random.random_range(-4..=5), key),
    }
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(within(work))
}

/// Callers send the commands; it ends when all are answered, or somewhere on the way.
fn live(ground: &Arc<Ground>, requests: &[Request], random: &mut StdRng) {
    let settings = Settings {
        batch_events_max: random.random_range(1..20),
        snapshot_events: random.random_range(1..120),
        command_timeout: Duration::from_secs(20),
        state: states(ground, random),
        ..Settings::default()
    };
    let awaited = random.random_range(0..=requests.len());
    let graceful = random.random_bool(0.3);
    in_runtime(async {
        let side = Arc::new(ground.start::<1>(settings));
        let answers = Arc::new(Semaphore::new(0));
        for caller in 0..CALLERS {
            let (side, answers) = (side.clone(), answers.clone());
            let own = requests
                .iter()
                .skip(usize::try_from(caller).expect("a few"));
            let own: Vec<_> = own.step_by(CALLERS as usize).cloned().collect();
            tokio::spawn(async move {
                for one in own {
                    let _ = side.submit(one).await;
                    answers.add_permits(1);
                }
            });
        }
        let awaited = u32::try_from(awaited).expect("a few hundred");
        let _ = answers.acquire_many(awaited).await;
        if graceful {
            side.stop().await;
        }
    });
}

/// Appends what nobody can fold, as another program might.
async fn spoil(ground: &Ground, random: &mut StdRng) {
    let user = user(random.random_range(1..USERS));
    let events = ground.events(LANE).await;
    let mut versions = events
        .iter()
        .filter(|event| event.subject == user && event.context.as_str() == "counters");
    let version = versions
        .next_back()
        .map_or(0, |event| event.stream_version.0);
    let data = r#"{"by":"one"}"#;
    let event = foreign(user, version + 1, "counter.added.v1", data);
    let mut writer = ground.writer().await;
    writer.append(vec![event]).await.expect("the log takes it");
}

fn compare(ground: &Arc<Ground>, sent: &BTreeMap<CommandId, Request>, tally: &mut Tally) {
    // No round begins, so the snapshots stay as the life has left them.
    let settings = Settings {
        snapshot_events: usize::MAX,
        ..Settings::default()
    };
    let known = in_runtime(known(ground, sent));
    let expected = in_runtime(async {
        let side = ground.start_from_log(settings.clone());
        side.ready().await;
        all(&side, &known).await
    });
    let from_store = Settings {
        state: ground.states(0, usize::MAX),
        ..settings.clone()
    };
    in_runtime(compare_opened(ground, settings, &known, &expected));
    in_runtime(compare_opened(ground, from_store, &known, &expected));
    let quarantined = |id: &UserId| matches!(expected[id], Seen::Quarantined { .. });
    tally.quarantined += expected.keys().filter(|id| quarantined(id)).count();
    let spoilt = in_runtime(ground.spoilt());
    tally.cured += spoilt.iter().filter(|id| !quarantined(id)).count();
}

async fn compare_opened(
    ground: &Ground,
    settings: Settings,
    known: &Known,
    expected: &BTreeMap<UserId, Seen>,
) {
    let side = ground.start::<1>(settings);
    side.ready().await;
    for (id, seen) in all(&side, known).await {
        let expected = &expected[&id];
        // Those who were spoilt are read again beside the serving.
        if matches!(seen, Seen::Quarantined { .. }) && seen != *expected {
            while seen_of(&side, id, known).await != *expected {
                quiet().await;
            }
        } else {
            assert_eq!(seen, *expected, "{id}");
        }
    }
}

/// What the log says, as far as asking takes it.
struct Known {
    commands: BTreeMap<CommandId, Request>,
    values: BTreeMap<UserId, i64>,
}

async fn known(ground: &Ground, sent: &BTreeMap<CommandId, Request>) -> Known {
    let (mut commands, mut values) = (BTreeMap::new(), BTreeMap::new());
    for event in ground.events(LANE).await {
        if let Some(one) = sent.get(&event.command_id) {
            commands.insert(one.key.clone(), one.clone());
        }
        let data: serde_json::Value = serde_json::from_slice(&event.data).expect("JSON");
        *values.entry(event.subject).or_default() += data["by"].as_i64().unwrap_or(0);
    }
    Known { commands, values }
}

async fn all(side: &CommandSide, known: &Known) -> BTreeMap<UserId, Seen> {
    let mut all = BTreeMap::new();
    for n in 0..USERS {
        all.insert(user(n), seen_of(side, user(n), known).await);
    }
    all
}

/// Asks for all there is to know, without changing anything.
async fn seen_of(side: &CommandSide, id: UserId, known: &Known) -> Seen {
    let mut remembered = BTreeMap::new();
    for (key, one) in known.commands.iter().filter(|(_, one)| one.user == id) {
        match side.submit(one.clone()).await {
            Ok(Answer::Accepted(accepted)) if accepted.replayed => {
                remembered.insert(key.clone(), accepted);
            }
            Err(CommandError::Quarantined { since, reason, .. }) => {
                return Seen::Quarantined { since, reason };
            }
            other => panic!("not remembered: {one:?} {other:?}"),
        }
    }
    let mirror = at_version(u64::MAX, request(id, "mirrors/copy", "{}", "asked"));
    let mirror = match side.submit(mirror).await {
        Err(CommandError::StaleVersion { current, .. }) => current.0,
        Err(CommandError::Quarantined { since, reason, .. }) => {
            return Seen::Quarantined { since, reason };
        }
        other => panic!("{other:?}"),
    };
    // Out of range, so that the refusal says the state.
    let by = if known.values.get(&id).is_some_and(|value| *value > 0) {
        10
    } else {
        -10
    };
    let counter = match side.submit(add_of(id, by, "asked")).await {
        Err(CommandError::Rejected { message, .. }) => message,
        other => panic!("{id}: {other:?}"),
    };
    Seen::Well {
        counter,
        mirror,
        remembered,
    }
}
