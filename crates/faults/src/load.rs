//! The load: callers that send commands over HTTP, each with a key, and note every answer.
//!
//! Half of the callers have users of their own, spread over all lanes. The others share a few
//! users in two lanes, which so are hot and see commands of one user at the same time. A caller
//! sends a command with the same key, to one node after another, until it has a final answer;
//! now and then it repeats one that has its answer, or sends one to two nodes at once.

mod buyer;
mod caller;
pub mod record;
mod silence;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use foldline_kernel::murmur2;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;

use self::{
    buyer::{Buyer, id},
    caller::Caller,
    record::{Sent, Watch},
    silence::Silence,
};
use crate::settings::Settings;

/// How many lanes are hot.
const HOT_LANES: u16 = 2;
/// How many users share the load of a hot lane.
const HOT_USERS: usize = 3;
/// How long callers are waited for once they begin nothing new.
const PAUSED_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether they have come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Callers at work; they end with this value.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    _callers: JoinSet<()>,
}

/// What callers share.
#[derive(Debug)]
struct Shared {
    urls: Vec<String>,
    lanes: u16,
    watch: Watch,
    records: Mutex<Vec<Sent>>,
    silences: Mutex<Vec<Silence>>,
    accepted: AtomicU64,
    busy: AtomicUsize,
    paused: watch::Sender<bool>,
}

impl Load {
    /// Lets callers call the nodes at these addresses.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn start(settings: &Settings, urls: Vec<String>) -> Result<Self> {
        let shared = Arc::new(Shared {
            urls,
            lanes: settings.lanes,
            watch: Watch::default(),
            records: Mutex::default(),
            silences: Mutex::new(vec![Silence::default(); usize::from(settings.lanes)]),
            accepted: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            paused: watch::channel(false).0,
        });
        let mut chance = StdRng::seed_from_u64(settings.seed);
        let crowds: Vec<Crowd> = (0..HOT_LANES.min(settings.lanes))
            .map(|lane| Crowd::new(Some(lane), HOT_USERS))
            .collect();
        let mut callers = JoinSet::new();
        for number in 0..settings.callers {
            let crowd = match number % 2 {
                0 => Crowd::new(None, HOT_USERS),
                _ => crowds[usize::from(number / 2) % crowds.len()].clone(),
            };
            let chance = StdRng::from_rng(&mut chance);
            callers.spawn(Caller::new(Arc::clone(&shared), crowd, chance)?.run());
        }
        Ok(Self {
            shared,
            _callers: callers,
        })
    }

    /// How many commands were accepted so far, each counted once.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// The longest time that a lane has given no answer while somebody waited, since the last
    /// [`Self::forget_silences`], and which lane it was.
    pub fn longest_silence(&self) -> (Duration, usize) {
        let now = Instant::now();
        let silences = lock(&self.shared.silences);
        let lanes = silences.iter().enumerate();
        let longest = lanes.map(|(lane, silence)| (silence.longest(now, false), lane));
        longest.max().unwrap_or_default()
    }

    /// Measures silences anew.
    pub fn forget_silences(&self) {
        let now = Instant::now();
        lock(&self.shared.silences)
            .iter_mut()
            .for_each(|silence| silence.reset(now));
    }

    /// Returns the lanes that somebody waits for and that have not answered since a moment.
    pub fn silent_since(&self, moment: Instant) -> Vec<usize> {
        let silences = lock(&self.shared.silences);
        let lanes = silences.iter().enumerate();
        lanes
            .filter(|(_, silence)| !silence.answered_since(moment))
            .map(|(lane, _)| lane)
            .collect()
    }

    /// Lets callers finish what they are at and begin nothing new.
    ///
    /// # Errors
    /// When they do not come to rest in time.
    pub async fn pause(&self) -> Result<()> {
        self.shared.paused.send_replace(true);
        let began = Instant::now();
        while self.shared.busy.load(Ordering::Acquire) > 0 {
            if began.elapsed() > PAUSED_MAX {
                bail!("callers still wait for answers after {PAUSED_MAX:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Lets callers go on.
    pub fn resume(&self) {
        self.forget_silences();
        self.shared.paused.send_replace(false);
    }

    /// Everything that was asked and answered so far.
    pub fn records(&self) -> Vec<Sent> {
        lock(&self.shared.records).clone()
    }
}

impl Shared {
    fn lane_of(&self, user: Uuid) -> u16 {
        lane_of(user, self.lanes)
    }
}

/// The lane of a user, as Kafka's Java clients choose a partition.
pub(crate) fn lane_of(user: Uuid, lanes: u16) -> u16 {
    let hash = murmur2(user.to_string().as_bytes()) & 0x7fff_ffff;
    u16::try_from(hash % u32::from(lanes)).expect("less than a u16")
}

/// Users that one caller has, or several share.
#[derive(Clone, Debug)]
struct Crowd {
    lane: Option<u16>,
    buyers: Arc<Mutex<Vec<Buyer>>>,
    count: usize,
}

impl Crowd {
    fn new(lane: Option<u16>, count: usize) -> Self {
        Self {
            lane,
            buyers: Arc::default(),
            count,
        }
    }

    /// A user that lives in the lane of this crowd, if it has one.
    fn born(&self, lanes: u16, chance: &mut StdRng) -> Buyer {
        loop {
            let user = id(chance);
            if self.lane.is_none_or(|lane| lane == lane_of(user, lanes)) {
                return Buyer::new(user);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
