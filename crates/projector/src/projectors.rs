//! All read models of one process.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use foldline_kernel::Lane;
use foldline_read_model::Model;
use foldline_tables::GenerationNumber;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    GenerationStatus, Parts, ReplaceError, ReplayError, ReplayProgress, RetireError, RollbackError,
    StoppedLane, Verification, VerifyError, VerifyOptions, ViewStatus,
    feeds::{self, Ends},
    live::Live,
    parts::Shared,
    sampler,
    share::Share,
    supervisor::{Order, Supervisor},
    verify,
    view::View,
};

/// How many orders may wait for one supervisor.
const ORDERS_WAITING_MAX: usize = 8;

/// The projectors of one process: every read model is followed, each for itself.
pub struct Projectors {
    shared: Arc<Shared>,
    views: Arc<[Arc<View>]>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Projectors {
    /// Starts to follow the log for every read model, on the current runtime.
    ///
    /// It returns at once; [`Self::views`] tells how far each is.
    pub fn start(parts: Parts) -> Self {
        Self::begin(parts, true)
    }

    /// The same, but no lane is followed until [`Self::follow`] says which.
    pub fn start_without_lanes(parts: Parts) -> Self {
        Self::begin(parts, false)
    }

    fn begin(parts: Parts, all_lanes: bool) -> Self {
        let lanes = parts.log.topology().lanes;
        let shared = Arc::new(Shared {
            log: parts.log,
            tables: parts.tables,
            catalog: parts.catalog,
            load: parts.load,
            notice: parts.notice,
            settings: parts.settings,
            share: Share::new(lanes, all_lanes),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut views = Vec::with_capacity(parts.models.len());
        for model in parts.models {
            let (orders, inbox) = mpsc::channel(ORDERS_WAITING_MAX);
            let view = Arc::new(View::new(model, orders));
            let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
            let supervisor = Supervisor::new(shared, Arc::clone(&view), inbox, stopped);
            tasks.spawn(supervised(Arc::clone(&view), supervisor));
            views.push(view);
        }
        let views: Arc<[_]> = views.into();
        tasks.spawn(sampler::run(
            Arc::clone(&shared),
            Arc::clone(&views),
            stopped,
        ));
        Self {
            shared,
            views,
            stop,
            tasks: Mutex::new(tasks),
        }
    }

    /// Follows these lanes from now on and no others; none at all where it is not known which are
    /// this process's, which is then not ready.
    ///
    /// It returns once nothing is written of others any more: each commit that was under way has
    /// ended, and what had been read is committed too, as far as the store takes it. Whoever
    /// follows them next need not wait for that, since the checkpoints fence.
    pub async fn follow(&self, lanes: Option<BTreeSet<Lane>>) {
        self.shared.share.tell(lanes).await;
    }

    /// Returns the lanes of this process, if they are known.
    pub fn lanes(&self) -> Option<BTreeSet<Lane>> {
        self.shared.share.told()
    }

    /// Returns how every read model stands, as of now.
    pub async fn views(&self) -> Vec<ViewStatus> {
        self.statuses(true).await
    }

    async fn statuses(&self, counted: bool) -> Vec<ViewStatus> {
        let ends = feeds::ends(self.shared.log.as_ref()).await;
        let unread = ends.as_ref().err().map(ToString::to_string);
        let ends = ends.unwrap_or_default();
        let mut statuses = Vec::with_capacity(self.views.len());
        for view in self.views.iter() {
            let mut status = self.status(view, &ends, counted).await;
            status.trouble = status.trouble.or_else(|| unread.clone());
            statuses.push(status);
        }
        statuses
    }

    async fn status(&self, view: &View, ends: &Ends, counted: bool) -> ViewStatus {
        let mut generations = Vec::new();
        for live in view.generations() {
            generations.push(self.generation(&live, ends, counted).await);
        }
        let mut status = ViewStatus {
            name: view.name.to_string(),
            revision: view.model().revision.0.clone(),
            rows: None,
            events_behind: feeds::all(ends),
            lag_seconds: None,
            parked: Vec::new(),
            trouble: view.trouble(),
            generations,
        };
        if let Some(serving) = status.serving().cloned() {
            status.rows = serving.rows;
            status.events_behind = serving.events_behind;
            status.lag_seconds = serving.lag_seconds;
            status.parked = serving.parked;
        }
        status
    }

    async fn generation(&self, live: &Live, ends: &Ends, counted: bool) -> GenerationStatus {
        let shares = !self.shared.share.is_all();
        if counted
            && shares
            && let Ok(absorbed) = live.read(self.shared.tables.as_ref()).await
        {
            live.others_absorbed(&absorbed);
        }
        let lag = live.lag(ends);
        let events_behind = live.behind(ends);
        let seen = live.seen();
        // Counted last, so that the rows hold what the checkpoints say at least.
        let rows = match counted {
            true => live.count(self.shared.tables.as_ref()).await,
            false => None,
        };
        let stopped = |(lane, reason)| StoppedLane { lane, reason };
        GenerationStatus {
            number: live.number,
            state: seen.state,
            revision: live.revision.0.clone(),
            status: seen.doing,
            trouble: seen.trouble,
            stopped_lanes: seen.stopped_lanes.into_iter().map(stopped).collect(),
            stepped_down: seen.stepped_down,
            lanes: seen.lanes.into_iter().collect(),
            checkpoints: seen.checkpoints.values().map(Into::into).collect(),
            events_behind,
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            rows,
            parked_users: seen.parked.len(),
            parked: seen.parked,
        }
    }

    /// Tells whether every read model serves and this process follows its lanes; the errors say
    /// what is wrong.
    ///
    /// # Errors
    /// One sentence for each read model that does not.
    pub async fn ready(&self) -> Result<(), Vec<String>> {
        if self.lanes().is_none() {
            return Err(vec!["it is not known yet which lanes to follow".into()]);
        }
        // Whoever asks this asks it often, so nothing is counted for it.
        let statuses = self.statuses(false).await;
        let troubles: Vec<_> = statuses
            .iter()
            .filter_map(|view| view.ready().err())
            .collect();
        if troubles.is_empty() {
            Ok(())
        } else {
            Err(troubles)
        }
    }

    /// Hands in a definition that was read again. Where its rules are others, a generation is
    /// built by it and switched to by itself; [`Self::replay`] then tells how that goes.
    ///
    /// # Errors
    /// [`ReplaceError`].
    pub async fn replace_model(&self, model: Arc<Model>) -> Result<(), ReplaceError> {
        let name = model.name.to_string();
        let view = self.view(&name);
        let view = view.ok_or(ReplaceError::UnknownModel(name))?;
        let (answer, answered) = oneshot::channel();
        let sent = view.orders.send(Order::Replace(model, answer)).await;
        sent.map_err(|_| ReplaceError::Stopped)?;
        answered.await.map_err(|_| ReplaceError::Stopped)
    }

    /// Builds a new generation beside the serving one, by the current definition, and switches to
    /// it once it is not behind on any lane.
    ///
    /// The last report says how it ended. A replay goes on when nobody takes its reports.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn replay(&self, model: &str) -> Result<mpsc::Receiver<ReplayProgress>, ReplayError> {
        let view = self.view(model);
        let view = view.ok_or_else(|| ReplayError::UnknownModel(model.into()))?;
        let (answer, answered) = oneshot::channel();
        let sent = view.orders.send(Order::Replay(answer)).await;
        sent.map_err(|_| ReplayError::Stopped)?;
        answered.await.map_err(|_| ReplayError::Stopped)?
    }

    /// Switches back to the generation that served before, and returns its number. It has been
    /// followed on, so it holds the present.
    ///
    /// # Errors
    /// [`RollbackError`].
    pub async fn rollback(&self, model: &str) -> Result<GenerationNumber, RollbackError> {
        let view = self.view(model);
        let view = view.ok_or_else(|| RollbackError::UnknownModel(model.into()))?;
        let (answer, answered) = oneshot::channel();
        let sent = view.orders.send(Order::Rollback(answer)).await;
        sent.map_err(|_| RollbackError::Stopped)?;
        answered.await.map_err(|_| RollbackError::Stopped)?
    }

    /// Drops a generation that does not serve, with its tables. One that was being built is begun
    /// again where the current definition needs it.
    ///
    /// # Errors
    /// [`RetireError`].
    pub async fn retire(
        &self,
        model: &str,
        generation: GenerationNumber,
    ) -> Result<(), RetireError> {
        let view = self.view(model);
        let view = view.ok_or_else(|| RetireError::UnknownModel(model.into()))?;
        let (answer, answered) = oneshot::channel();
        let sent = view.orders.send(Order::Retire(generation, answer)).await;
        sent.map_err(|_| RetireError::Stopped)?;
        answered.await.map_err(|_| RetireError::Stopped)?
    }

    /// Begins to hold a generation (the serving one unless told otherwise) against a fresh fold
    /// of the log. One read model is verified once at a time.
    ///
    /// # Errors
    /// [`VerifyError`], when there is nothing to verify or a verification of it is running.
    pub fn verify(&self, model: &str, options: VerifyOptions) -> Result<Verification, VerifyError> {
        let view = self.view(model);
        let view = view.ok_or_else(|| VerifyError::UnknownModel(model.into()))?;
        let live = match options.generation {
            Some(number) => view.generation(number),
            None => view.serving(),
        };
        let nothing = || VerifyError::NoGeneration(model.into());
        let live = live.ok_or_else(nothing)?;
        let (model, _) = live.follows.clone().ok_or_else(nothing)?;
        let turn = Arc::clone(&view.verifying).try_acquire_owned();
        let turn = turn.map_err(|_| VerifyError::AlreadyRunning(model.name.to_string()))?;
        Ok(verify::begin(
            Arc::clone(&self.shared),
            model,
            live.number,
            options,
            turn,
        ))
    }

    /// Returns what counts up whenever anything about a read model is different: a commit, a
    /// switch, a lane that stops. It says that, not what; [`Self::views`] does.
    pub fn moves(&self, model: &str) -> Option<watch::Receiver<u64>> {
        self.view(model).map(|view| view.moved().subscribe())
    }

    /// Returns the current definition of a read model.
    pub fn model(&self, name: &str) -> Option<Arc<Model>> {
        self.view(name).map(View::model)
    }

    /// Stops; commits that are under way are finished.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        while let Some(ended) = tasks.join_next().await {
            if let Err(panic) = ended {
                tracing::error!(%panic, "a task of the projectors ended badly");
            }
        }
    }

    fn view(&self, name: &str) -> Option<&View> {
        let mut views = self.views.iter();
        views
            .find(|view| view.name.as_ref() == name)
            .map(AsRef::as_ref)
    }
}

/// Runs a supervisor; should it break down, its read model says so for as long as the process is
/// up, since its projectors end with it.
async fn supervised(view: Arc<View>, supervisor: Supervisor) {
    if let Err(panic) = tokio::spawn(supervisor.run()).await {
        tracing::error!(view = %view.name, %panic, "the supervisor of a read model broke down");
        view.set_trouble(Some(format!("its supervisor broke down: {panic}")));
    }
}

impl std::fmt::Debug for Projectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projectors")
            .field("views", &self.views)
            .finish_non_exhaustive()
    }
}
