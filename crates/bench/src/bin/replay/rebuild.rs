//! The measured side: the projectors' own replay, as an operator asks for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use foldline_event_log::EventLog;
use foldline_projector::{Parts, Projectors, ReplayPhase, Settings};
use foldline_read_model::{Model, load_dir, load_str};
use foldline_tables::{GenerationState, Sqlite};

/// How long the first generations may take.
const READY_WITHIN: Duration = Duration::from_secs(900);
/// How often it is asked whether they are there.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// Projectors whose read models each have a serving generation.
pub(crate) struct Rebuilds {
    projectors: Projectors,
    tables: PathBuf,
}

impl Rebuilds {
    /// Builds the first generations, in an empty directory.
    pub(crate) async fn start(
        log: Arc<dyn EventLog>,
        tables: &Path,
        models: &[String],
    ) -> Result<Self> {
        if tables.exists() {
            std::fs::remove_dir_all(tables)?;
        }
        let catalog = Arc::new(market::catalog());
        let projections = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../projections");
        let mut known = load_dir(&projections, &catalog).map_err(|error| anyhow!("{error}"))?;
        known.retain(|model| models.iter().any(|name| *name == *model.name));
        let loaded_by = Arc::clone(&catalog);
        let parts = Parts {
            log,
            tables: Arc::new(Sqlite::open(tables).await?),
            catalog,
            models: known.into_iter().map(Arc::new).collect(),
            load: Arc::new(move |name, text| {
                load_str(name, text, &loaded_by).map_err(|error| error.to_string())
            }),
            notice: Arc::new(|_| {}),
            settings: Settings::default(),
        };
        let rebuilds = Self {
            projectors: Projectors::start(parts),
            tables: tables.to_owned(),
        };
        rebuilds.wait_until_caught_up().await?;
        Ok(rebuilds)
    }

    async fn wait_until_caught_up(&self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            let views = self.projectors.views().await;
            let serves = |view: &foldline_projector::ViewStatus| view.serving().is_some();
            if views
                .iter()
                .all(|view| serves(view) && view.events_behind == 0)
            {
                return Ok(());
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
        bail!("the first generations are not there after {READY_WITHIN:?}")
    }

    /// Returns the definition of a read model.
    pub(crate) fn model(&self, name: &str) -> Result<Arc<Model>> {
        let model = self.projectors.model(name);
        model.with_context(|| format!("there is no read model `{name}`"))
    }

    /// Returns the file of the generation that serves.
    pub(crate) async fn file(&self, name: &str) -> Result<PathBuf> {
        let views = self.projectors.views().await;
        let view = views.iter().find(|view| view.name == name);
        let serving = view.and_then(|view| view.serving());
        let number = serving
            .with_context(|| format!("`{name}` does not serve"))?
            .number;
        Ok(self.tables.join(format!("{name}-g{number}.sqlite")))
    }

    /// Rebuilds a read model, and says how long it took until the new generation served.
    pub(crate) async fn run(&self, name: &str) -> Result<Duration> {
        let began = Instant::now();
        let mut reports = self.projectors.replay(name).await?;
        let mut last = None;
        while let Some(report) = reports.recv().await {
            last = Some(report);
        }
        let took = began.elapsed();
        let last = last.with_context(|| format!("the replay of `{name}` told nothing"))?;
        if last.phase != ReplayPhase::Switched {
            bail!(
                "the replay of `{name}` ended {:?}: {:?}",
                last.phase,
                last.trouble
            );
        }
        self.retire_old(name).await?;
        Ok(took)
    }

    /// Leaves one generation, so that each run finds what the one before it found.
    async fn retire_old(&self, name: &str) -> Result<()> {
        let views = self.projectors.views().await;
        let view = views.iter().find(|view| view.name == name);
        let generations = view
            .map(|view| view.generations.as_slice())
            .unwrap_or_default();
        for old in generations {
            if old.state != GenerationState::Serving {
                self.projectors.retire(name, old.number).await?;
            }
        }
        Ok(())
    }

    /// Ends the projectors.
    pub(crate) async fn stop(self) {
        self.projectors.stop().await;
    }
}
