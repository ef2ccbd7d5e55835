//! A log in a directory of its own, faults to inject, and a command side that can be started
//! again over the same log.

use std::{sync::Arc, time::Duration};

use foldline_command::{
    Accepted, Answer, CommandError, CommandSide, Contexts, Neighbours, Request, Settings,
    StateSettings,
};
use foldline_event_log::{
    Announcement, Embedded, EventLog, From, LaneWriter, SnapshotStore, embedded,
    faulty::{AppendFault, Faults, Faulty, Gate},
};
use foldline_kernel::{Caller, Context, Lane, LaneSequence, UserId, Version};
use foldline_schema::Event;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    contexts::{Counters, Mirrors},
    store::{Failing, Store},
};

/// How long anything may take before a test fails.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(crate) const LANE: Lane = Lane(0);

/// The log, and what goes wrong with it.
pub(crate) struct Ground {
    pub(crate) log: Arc<Embedded>,
    pub(crate) faulty: Arc<Faulty>,
    pub(crate) faults: Faults,
    pub(crate) store: Arc<Store>,
    pub(crate) failing: Arc<Failing>,
    pub(crate) dir: TempDir,
}

/// What the local store itself takes of the bound at least.
pub(crate) const STORE_BYTES: usize = (1 << 20) + 3 * (64 << 10);

impl Ground {
    pub(crate) fn new(lanes: u16) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the log");
        let settings = embedded::Settings {
            name: context("test"),
            lanes,
            contexts: contexts::<1>().names(),
        };
        let log = Arc::new(Embedded::open(dir.path(), settings).expect("the log opens"));
        let (faulty, faults) = Faulty::new(log.clone());
        let failing = Arc::new(Failing::default());
        let store = Arc::new(Store {
            inner: log.clone(),
            failing: failing.clone(),
        });
        Self {
            log,
            faulty: Arc::new(faulty),
            faults,
            store,
            failing,
            dir,
        }
    }

    /// A local store with so many bytes of states in memory.
    pub(crate) fn states(&self, bytes: usize, round_events: usize) -> StateSettings {
        StateSettings {
            directory: Some(self.dir.path().join("state")),
            bytes_max: STORE_BYTES + bytes,
            round_events,
        }
    }

    /// Starts a command side with the rules of a revision.
    pub(crate) fn start<const REVISION: u32>(&self, settings: Settings) -> CommandSide {
        let contexts = Arc::new(contexts::<REVISION>());
        let store = self.store.clone();
        CommandSide::start(self.faulty.clone(), Some(store), contexts, settings)
    }

    /// Starts one node of several.
    pub(crate) fn start_among(&self, neighbours: Neighbours, settings: Settings) -> CommandSide {
        let contexts = Arc::new(contexts::<1>());
        let store = self.store.clone();
        CommandSide::start_among(
            neighbours,
            self.faulty.clone(),
            Some(store),
            contexts,
            settings,
        )
    }

    /// The same without snapshots: every state is folded from the log.
    pub(crate) fn start_from_log(&self, settings: Settings) -> CommandSide {
        let contexts = Arc::new(contexts::<1>());
        CommandSide::start(self.faulty.clone(), None, contexts, settings)
    }

    /// A writer of the lane that is no command side.
    pub(crate) async fn writer(&self) -> Box<dyn LaneWriter> {
        let opened = self.log.open_writer(LANE, Announcement::default()).await;
        opened.expect("a writer")
    }

    /// The marker of the lane's last snapshot round that ended.
    pub(crate) async fn marker(&self) -> Option<LaneSequence> {
        let loaded = self.log.load(LANE, self.log.topology().log_id).await;
        loaded
            .expect("the store can be read")
            .map(|(marker, _)| marker)
    }

    /// The users of whom the snapshots say that their states were spoilt.
    pub(crate) async fn spoilt(&self) -> Vec<UserId> {
        let loaded = self.log.load(LANE, self.log.topology().log_id).await;
        let (_, snapshots) = loaded.expect("the store can be read").unwrap_or_default();
        let spoilt = snapshots
            .into_iter()
            .filter(|snapshot| snapshot.state.starts_with(&[1, 1]));
        spoilt.map(|snapshot| snapshot.user).collect()
    }

    /// Every event of a lane, read past the faults.
    pub(crate) async fn events(&self, lane: Lane) -> Vec<Arc<Event>> {
        let end = self.log.heads(lane).await.expect("a lane").lane_sequence;
        let mut events = Vec::new();
        let mut follower = self
            .log
            .follow_lane(lane, From::Beginning)
            .await
            .expect("a lane");
        while follower.checkpoint().lane_sequence < end {
            events.extend(within(follower.next_batch(1000)).await.expect("a lane"));
        }
        events
    }
}

/// A ground with one lane, and a command side on it.
pub(crate) struct World {
    pub(crate) ground: Ground,
    pub(crate) side: CommandSide,
    pub(crate) settings: Settings,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::on(Ground::new(1), settings).await
    }

    pub(crate) async fn on(ground: Ground, settings: Settings) -> Self {
        let side = ground.start::<1>(settings.clone());
        let world = Self {
            ground,
            side,
            settings,
        };
        within(world.side.ready()).await;
        world
    }

    /// Stops gracefully and starts again with the rules of a revision.
    pub(crate) async fn restarted<const REVISION: u32>(mut self) -> Self {
        within(self.side.stop()).await;
        self.side = self.ground.start::<REVISION>(self.settings.clone());
        within(self.side.ready()).await;
        self
    }

    pub(crate) async fn submit(&self, request: Request) -> Result<Answer, CommandError> {
        within(self.side.submit(request)).await
    }

    /// Submits a command that must be accepted.
    pub(crate) async fn accepted(&self, request: Request) -> Accepted {
        accepted(self.submit(request).await)
    }

    /// Makes the next append that has no fault yet wait before it begins.
    pub(crate) fn hold(&self) -> Gate {
        let gate = Gate::default();
        let held = AppendFault::HeldBefore(gate.clone());
        self.ground.faults.on_append(LANE, held);
        gate
    }

    /// The events of the lane.
    pub(crate) async fn events(&self) -> Vec<Arc<Event>> {
        self.ground.events(LANE).await
    }
}

fn contexts<const REVISION: u32>() -> Contexts {
    Contexts::default()
        .with::<Counters<REVISION>>()
        .with::<Mirrors<REVISION>>()
}

#[track_caller]
pub(crate) fn accepted(answer: Result<Answer, CommandError>) -> Accepted {
    match answer {
        Ok(Answer::Accepted(accepted)) => accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

pub(crate) fn context(name: &str) -> Context {
    name.parse().expect("the names of these tests are contexts")
}

pub(crate) fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

/// A command of a context, with a key.
pub(crate) fn request(user: UserId, path: &str, body: &str, key: &str) -> Request {
    let (context_name, command) = path.split_once('/').expect("context/command");
    Request {
        user,
        context: context(context_name),
        command: command.to_owned(),
        body: body.to_owned().into(),
        key: key.parse().expect("the keys of these tests are keys"),
        if_match: None,
        time: None,
        caller: Caller::open(),
        causation_id: None,
        correlation_id: None,
        credentials: None,
        passed_on: None,
        within: None,
    }
}

/// `counters/add` of user 1.
pub(crate) fn add(by: i64, key: &str) -> Request {
    add_of(user(1), by, key)
}

pub(crate) fn add_of(user: UserId, by: i64, key: &str) -> Request {
    request(user, "counters/add", &format!(r#"{{"by":{by}}}"#), key)
}

/// `mirrors/copy` of user 1.
pub(crate) fn copy(key: &str) -> Request {
    request(user(1), "mirrors/copy", "{}", key)
}

pub(crate) fn at_version(version: u64, request: Request) -> Request {
    let if_match = Some(Version(version));
    Request {
        if_match,
        ..request
    }
}

/// The code with which the rules have refused a command.
#[track_caller]
pub(crate) fn code(answer: Result<Answer, CommandError>) -> &'static str {
    match answer {
        Err(CommandError::Rejected { code, .. }) => code,
        other => panic!("not rejected: {other:?}"),
    }
}

/// The keys of events, in their order.
pub(crate) fn keys(events: &[Arc<Event>]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event.command_id.as_str())
        .collect()
}

/// Bounds a wait.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_MAX, work).await {
        Ok(done) => done,
        Err(_) => panic!("nothing came within {WAIT_MAX:?}"),
    }
}

/// Lets every task of this thread run until all of them wait.
pub(crate) async fn quiet() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// Runs a submission until some append stands at the gate; it must have no answer by then.
pub(crate) async fn until_held<T>(gate: &Gate, submitted: &mut (impl Future<Output = T> + Unpin)) {
    tokio::select! {
        () = within(gate.arrived()) => {}
        _ = submitted => panic!("answered before its append"),
    }
}
