//! What the person who asked for a replay sees.

use foldline_tables::{GenerationNumber, TableError};
use serde::Serialize;
use tokio::{sync::mpsc, time::Instant};

/// How many reports may wait for who asked; newer ones are left out meanwhile.
const REPORTS_WAITING_MAX: usize = 16;
/// Over how long the rate is taken: a shorter stretch says more of now, and jumps more.
const RATE_OVER_SECONDS: f64 = 5.0;

/// How far a replay has come. The last one says [`ReplayPhase::Switched`] or
/// [`ReplayPhase::Failed`].
#[derive(Clone, Debug, Serialize)]
pub struct ReplayProgress {
    /// The read model.
    pub model: String,
    /// The generation that is being built.
    pub generation: GenerationNumber,
    /// What is being done.
    pub phase: ReplayPhase,
    /// How many events of its contexts it has absorbed.
    pub events_done: u64,
    /// How many there are now.
    pub events_total: u64,
    /// How many events a second it absorbs.
    pub events_per_second: f64,
    /// How long it will take at this rate, once that is known.
    pub seconds_left: Option<f64>,
    /// What is in the way, or why it failed.
    pub trouble: Option<String>,
    /// What is ahead, in the first report alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<ReplayEstimate>,
}

/// What a replay has before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayEstimate {
    /// How many events of its contexts it will read; none where the log is out of reach.
    pub events: Option<u64>,
    /// The generation that serves now, which the new one is likely to be like.
    pub serving: Option<GenerationNumber>,
    /// How many rows that shows; none where it cannot be counted quickly.
    pub rows: Option<u64>,
    /// How many bytes it takes in its store; the new one comes beside it.
    pub bytes: Option<u64>,
}

/// What a replay is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayPhase {
    /// It counts what there is to do.
    Estimating,
    /// It loads the events in bulk.
    Loading,
    /// It makes the indexes.
    Indexing,
    /// It catches up with the generation that serves.
    CatchingUp,
    /// It serves.
    Switched,
    /// It does not go on; the generation that served still does.
    Failed,
}

/// Why a replay did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such read model here.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// Another replay of it is under way.
    #[error("a replay of `{model}` is under way: generation {generation} is being built")]
    AlreadyRunning {
        /// The read model.
        model: String,
        /// The generation that is being built.
        generation: GenerationNumber,
    },
    /// The store did not do it.
    #[error("a new generation of `{model}` cannot be made")]
    Tables {
        /// The read model.
        model: String,
        /// Why.
        source: TableError,
    },
    /// The projectors have stopped.
    #[error("the projectors have stopped")]
    Stopped,
}

/// Tells who asked, without ever waiting for them.
#[derive(Debug)]
pub(crate) struct Reporter {
    out: mpsc::Sender<ReplayProgress>,
    /// A place kept for the last report, which must arrive.
    last: mpsc::OwnedPermit<ReplayProgress>,
    rate: Rate,
}

impl Reporter {
    pub(crate) fn new() -> (Self, mpsc::Receiver<ReplayProgress>) {
        let (out, reports) = mpsc::channel(REPORTS_WAITING_MAX);
        let last = out
            .clone()
            .try_reserve_owned()
            .expect("a new channel has room");
        let rate = Rate::default();
        (Self { out, last, rate }, reports)
    }

    /// Reports on the way; left out where nobody took the ones before.
    pub(crate) fn report(&mut self, mut progress: ReplayProgress) {
        self.rate.fill(&mut progress);
        // Nobody may listen any more, which does not stop the replay.
        let _ = self.out.try_send(progress);
    }

    /// Reports the end.
    pub(crate) fn end(mut self, mut progress: ReplayProgress) {
        self.rate.fill(&mut progress);
        self.last.send(progress);
    }
}

/// The rate over the last seconds, as a mean that forgets.
#[derive(Debug, Default)]
struct Rate {
    last: Option<(Instant, u64)>,
    per_second: Option<f64>,
}

impl Rate {
    fn fill(&mut self, progress: &mut ReplayProgress) {
        let now = Instant::now();
        if let Some((then, done)) = self.last {
            let seconds = now.duration_since(then).as_secs_f64().max(1e-6);
            let rate = progress.events_done.saturating_sub(done) as f64 / seconds;
            let weight = (seconds / RATE_OVER_SECONDS).min(1.0);
            let mean = self.per_second.unwrap_or(rate);
            self.per_second = Some(mean + weight * (rate - mean));
        }
        self.last = Some((now, progress.events_done));
        let missing = progress.events_total.saturating_sub(progress.events_done) as f64;
        progress.events_per_second = self.per_second.unwrap_or_default();
        progress.seconds_left = self
            .per_second
            .filter(|rate| *rate >= 1.0)
            .map(|rate| missing / rate);
    }
}
