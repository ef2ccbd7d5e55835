//! Looks after one read model: which generations there are, who follows them, which one serves.

mod building;
mod generations;
mod indexing;
mod switching;

use std::{collections::BTreeMap, sync::Arc};

use foldline_read_model::Model;
use foldline_tables::GenerationNumber;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    Doing, ReplayError, ReplayProgress, RetireError, RollbackError,
    live::Live,
    parts::Shared,
    projector::{Projector, told},
    stopping,
    view::View,
};
use building::Building;
use indexing::Indexing;
use switching::Surplus;

/// How often a generation that is being built is looked at.
const BUILDING_EVERY: Duration = Duration::from_millis(200);
/// How long the registry is left alone after it failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);

/// What a supervisor can be told to do, each with a place for its answer.
pub(crate) enum Order {
    Replay(oneshot::Sender<Result<mpsc::Receiver<ReplayProgress>, ReplayError>>),
    Rollback(oneshot::Sender<Result<GenerationNumber, RollbackError>>),
    Retire(GenerationNumber, oneshot::Sender<Result<(), RetireError>>),
    Replace(Arc<Model>, oneshot::Sender<()>),
}

/// The supervisor of one read model.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    view: Arc<View>,
    orders: mpsc::Receiver<Order>,
    stop: watch::Receiver<bool>,
    running: BTreeMap<GenerationNumber, Running>,
    building: Option<Building>,
    /// The newest generation that there was when the current definition was read, once the
    /// registry has said so.
    read_at: Option<GenerationNumber>,
    /// Whether another process reads another definition, which has been logged.
    overruled: bool,
    /// What the last switch left over.
    surplus: Option<Surplus>,
    /// When the registry is read next.
    look_at: Instant,
}

/// A generation that is being followed, or cannot be.
struct Running {
    live: Arc<Live>,
    stop: watch::Sender<bool>,
    projector: Option<JoinHandle<()>>,
    indexing: Indexing,
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        view: Arc<View>,
        orders: mpsc::Receiver<Order>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            shared,
            view,
            orders,
            stop,
            running: BTreeMap::new(),
            building: None,
            read_at: None,
            overruled: false,
            surplus: None,
            look_at: Instant::now(),
        }
    }

    /// Looks after the read model until it is told to stop; then its projectors finish the
    /// commits that are under way.
    pub(crate) async fn run(mut self) {
        let mut stop = self.stop.clone();
        loop {
            self.look().await;
            let next_look = self.next_look();
            tokio::select! {
                biased;
                () = stopping::asked(&mut stop) => break,
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                () = Building::moves(&mut self.building) => {}
                () = tokio::time::sleep_until(next_look) => {}
            }
        }
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        for (_, running) in std::mem::take(&mut self.running) {
            running.ended().await;
        }
    }

    fn next_look(&self) -> Instant {
        let soon = Instant::now() + BUILDING_EVERY;
        match self.building {
            Some(_) => self.look_at.min(soon),
            None => self.look_at,
        }
    }

    /// Reads the registry when it is time to, and brings on what is being built.
    async fn look(&mut self) {
        let mut looked = Ok(());
        if Instant::now() >= self.look_at {
            looked = self.settle().await.map_err(|error| told(&error));
            let pause = match looked {
                Ok(()) => self.shared.settings.registry_every,
                Err(_) => TROUBLE_PAUSE,
            };
            self.look_at = Instant::now() + pause;
        }
        if looked.is_ok() {
            looked = self.advance().await.map_err(|error| told(&error));
        }
        self.note(looked.err());
    }

    fn note(&self, trouble: Option<String>) {
        if let Some(trouble) = &trouble
            && self.view.trouble().as_ref() != Some(trouble)
        {
            tracing::error!(view = %self.view.name, trouble, "the read model is not looked after");
        }
        self.view.set_trouble(trouble);
    }

    /// Answers go to whoever asked, if they still wait.
    async fn obey(&mut self, order: Order) {
        match order {
            Order::Replay(answer) => {
                let _ = answer.send(self.replay().await);
            }
            Order::Rollback(answer) => {
                let _ = answer.send(self.roll_back().await);
            }
            Order::Retire(number, answer) => {
                let _ = answer.send(self.retire_on_demand(number).await);
            }
            Order::Replace(model, answer) => {
                self.view.set_model(model);
                self.read_at = None;
                self.look_at = Instant::now();
                let _ = answer.send(());
            }
        }
    }
}

impl Running {
    /// Starts to follow a generation, where it can be followed.
    fn start(shared: &Arc<Shared>, live: Arc<Live>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let projector = live.follows.as_ref().map(|(model, _)| {
            let projector = Projector {
                shared: Arc::clone(shared),
                live: Arc::clone(&live),
                model: Arc::clone(model),
                stop: stopped,
            };
            tokio::spawn(projector.run())
        });
        Self {
            live,
            stop,
            projector,
            indexing: Indexing::default(),
        }
    }

    /// Starts the projector anew where it ended without having been told to.
    fn revive(&mut self, shared: &Arc<Shared>, view: &str) {
        let ended = self.projector.as_ref().is_some_and(JoinHandle::is_finished);
        if ended && self.live.doing() != Doing::Stopped {
            tracing::error!(view, generation = %self.live.number,
                "a projector ended by itself and is started again");
            *self = Self::start(shared, Arc::clone(&self.live));
        }
    }

    /// Has the projector finish its commit, and waits for that.
    async fn ended(self) {
        self.stop.send_replace(true);
        drop(self.indexing);
        if let Some(projector) = self.projector
            && let Err(panic) = projector.await
        {
            tracing::error!(generation = %self.live.number, %panic, "a projector ended badly");
        }
    }
}
