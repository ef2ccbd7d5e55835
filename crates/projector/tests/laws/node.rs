//! A process with projectors in it, and waiting for what it does.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use foldline_event_log::EventLog;
use foldline_kernel::{Lane, UserId};
use foldline_projector::{
    Parts, Projectors, ReplayPhase, ReplayProgress, Settings, VerifyOptions, VerifyReport,
    ViewStatus,
};
use foldline_read_model::{Model, ParkedUser, PlainFold, RowKey, RowValues, load_str};
use tokio::sync::mpsc;

use crate::{log::MemoryLog, store::Store, world::catalog};

/// How long anything may take before a law fails and says what it saw.
const WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) projectors: Projectors,
}

/// Settings that make the narrow places frequent.
pub(crate) fn small() -> Settings {
    Settings {
        chunk_events_max: 3,
        batch_events_max: 7,
        load_events_max: 11,
        retry_max: Duration::from_millis(5),
        step_down: Duration::from_millis(5),
        others_every: Duration::from_millis(3),
        registry_every: Duration::from_millis(50),
        load_patience: Duration::from_millis(1),
        rest_max: Duration::from_millis(1),
        sample_every: Duration::from_millis(10),
        ..Settings::default()
    }
}

impl Node {
    pub(crate) fn start(
        log: Arc<dyn EventLog>,
        store: &Store,
        models: &[Arc<Model>],
        settings: Settings,
    ) -> Self {
        Self::with(Projectors::start, log, store, models, settings)
    }

    /// The same, but it follows no lane until it is told which.
    pub(crate) fn start_without_lanes(
        log: Arc<dyn EventLog>,
        store: &Store,
        models: &[Arc<Model>],
        settings: Settings,
    ) -> Self {
        Self::with(
            Projectors::start_without_lanes,
            log,
            store,
            models,
            settings,
        )
    }

    fn with(
        start: impl Fn(Parts) -> Projectors,
        log: Arc<dyn EventLog>,
        store: &Store,
        models: &[Arc<Model>],
        settings: Settings,
    ) -> Self {
        let load = |name: &str, text: &str| {
            load_str(&format!("{name}.toml"), text, &catalog()).map_err(|errors| errors.to_string())
        };
        let projectors = start(Parts {
            log,
            tables: store.tables.clone(),
            catalog: catalog(),
            models: models.to_vec(),
            load: Arc::new(load),
            notice: Arc::new(|_| {}),
            settings,
        });
        Self { projectors }
    }

    /// Tells it which lanes are its own, and waits until it has let go of all others.
    pub(crate) async fn follow(&self, lanes: impl IntoIterator<Item = u16>) {
        let lanes = lanes.into_iter().map(Lane).collect();
        let followed = self.projectors.follow(Some(lanes));
        let followed = tokio::time::timeout(WAIT_MAX, followed).await;
        followed.expect("lanes are let go of");
    }

    pub(crate) async fn view(&self, model: &Model) -> ViewStatus {
        let mut views = self.projectors.views().await.into_iter();
        views
            .find(|view| view.name == model.name.as_ref())
            .expect("it is followed")
    }

    /// Waits until a read model looks so.
    #[track_caller]
    pub(crate) fn until<'n>(
        &'n self,
        model: &'n Model,
        looks: impl Fn(&ViewStatus) -> bool + 'n,
    ) -> impl Future<Output = ViewStatus> + 'n {
        let at = std::panic::Location::caller();
        async move {
            let mut moves = self.projectors.moves(&model.name).expect("it is followed");
            let reached = async {
                loop {
                    moves.mark_unchanged();
                    let view = self.view(model).await;
                    if looks(&view) {
                        return view;
                    }
                    moves.changed().await.expect("the projectors are there");
                }
            };
            match tokio::time::timeout(WAIT_MAX, reached).await {
                Ok(view) => view,
                Err(_) => panic!("{at}: it did not come to it: {:#?}", self.view(model).await),
            }
        }
    }

    #[track_caller]
    pub(crate) fn caught_up<'n>(
        &'n self,
        model: &'n Model,
    ) -> impl Future<Output = ViewStatus> + 'n {
        self.until(model, |view| {
            view.serving().is_some() && view.events_behind == 0
        })
    }

    /// Replays and waits for the end of it.
    pub(crate) async fn replay(&self, model: &Model) -> ReplayProgress {
        let progress = self.projectors.replay(&model.name).await.unwrap();
        end_of(progress).await
    }

    pub(crate) async fn verify(&self, model: &Model) -> VerifyReport {
        let verification = self
            .projectors
            .verify(&model.name, VerifyOptions::default())
            .unwrap();
        tokio::time::timeout(WAIT_MAX, verification.report())
            .await
            .expect("it ends")
            .unwrap()
    }

    pub(crate) async fn stop(self) {
        let stopped = tokio::time::timeout(WAIT_MAX, self.projectors.stop()).await;
        stopped.expect("projectors stop");
    }
}

/// Waits for the end of a replay, whose last report says what came of it.
pub(crate) async fn end_of(mut progress: mpsc::Receiver<ReplayProgress>) -> ReplayProgress {
    let replayed = async {
        let mut last = None;
        while let Some(report) = progress.recv().await {
            last = Some(report);
        }
        last.expect("a replay says how it ended")
    };
    let last = tokio::time::timeout(WAIT_MAX, replayed)
        .await
        .expect("a replay ends");
    assert!(
        matches!(last.phase, ReplayPhase::Switched | ReplayPhase::Failed),
        "{last:?}"
    );
    last
}

/// Looks again and again until something holds that nobody tells of.
#[track_caller]
pub(crate) fn eventually(
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let mut looks = tokio::time::interval(Duration::from_millis(2));
        let looking = async {
            while !holds().await {
                looks.tick().await;
            }
        };
        let seen = tokio::time::timeout(WAIT_MAX, looking).await;
        assert!(seen.is_ok(), "{at}: it did not come to it: {what}");
    }
}

/// What a plain fold of the log, lane by lane, comes to.
pub(crate) fn expected(
    log: &MemoryLog,
    model: &Model,
) -> (BTreeMap<RowKey, RowValues>, BTreeMap<UserId, ParkedUser>) {
    let catalog = catalog();
    let mut fold = PlainFold::new(model, &catalog);
    for lane in log.topology().all_lanes() {
        for event in log.lane(lane) {
            fold.apply(&event).unwrap();
        }
    }
    (fold.rows().clone(), fold.parked().clone())
}

/// Asserts that the serving table is what the log says, parked users included.
pub(crate) async fn assert_exact(log: &MemoryLog, store: &Store, model: &Arc<Model>) {
    let (rows, parked) = expected(log, model);
    let (found, absorbed) = store.read(model, store.serving(model).await).await;
    let keys: std::collections::BTreeSet<_> = found.keys().chain(rows.keys()).collect();
    for key in keys {
        let (found, expected) = (found.get(key), rows.get(key));
        assert_eq!(
            found, expected,
            "the row {key:?} of `{}`; {absorbed:?}",
            model.name
        );
    }
    let mut found: Vec<_> = absorbed
        .parked
        .iter()
        .map(|parked| (parked.user, parked.lane_sequence, parked.position.sequence))
        .collect();
    found.sort_unstable();
    let expected: Vec<_> = parked
        .iter()
        .map(|(user, parked)| (*user, parked.lane_sequence, parked.sequence))
        .collect();
    assert_eq!(found, expected, "the parked users of `{}`", model.name);
}
