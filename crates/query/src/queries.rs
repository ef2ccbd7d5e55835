//! The query side: one entry for every declared query of every read model.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use foldline_kernel::{Position, Sequence, Topology, UserId};
use foldline_read_model::{Model, Query};
use foldline_tables::{Absorbed, Select, Selected, TableError, Tables};

use crate::{
    Answer, Behind, HeldBack, Notice, Overview, QueryError, Request,
    cursor::Cursor,
    overview,
    parameters::{self, Asked},
    rendering,
    serving::{Open, View},
    value::Fnv,
    waiting::{self, Missed, Question, Waiting},
};

/// Reads a stored definition: the read model's name and its TOML; the error is a sentence.
pub type Load = Arc<dyn Fn(&str, &str) -> Result<Model, String> + Send + Sync>;

/// Everything that [`Queries`] need.
#[derive(Clone)]
pub struct Parts {
    /// The store of the rows.
    pub tables: Arc<dyn Tables>,
    /// The current definition of every read model.
    pub models: Vec<Arc<Model>>,
    /// Reads the definitions that older generations were built by.
    pub load: Load,
    /// What the projectors of this process tell after each commit and each switch.
    pub notice: Notice,
    /// The shape of the log, where it is known: answers about one user then carry only the
    /// positions of that user's lane, and positions of partitions that there are not are told.
    pub topology: Option<Topology>,
    /// Every bound.
    pub settings: Settings,
}

/// The bounds of the query side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the registry's word on which generation serves is believed, unless this process
    /// is told of a switch.
    pub registry_age_max: Duration,
    /// How long a query with a position takes at most, from the look at the registry to the last
    /// row.
    pub wait_max: Duration,
    /// The same for a query without one.
    pub read_max: Duration,
    /// How often a query that waits looks at the checkpoint without having been told to.
    pub look_again: Duration,
    /// How many queries of one read model may wait at once.
    pub waiting_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registry_age_max: Duration::from_millis(200),
            wait_max: Duration::from_secs(2),
            read_max: Duration::from_secs(5),
            look_again: Duration::from_millis(25),
            waiting_max: 1024,
        }
    }
}

/// Answers the declared queries of all read models.
pub struct Queries {
    views: BTreeMap<Arc<str>, (View, Waiting)>,
    notice: Notice,
    topology: Option<Topology>,
    settings: Settings,
}

/// How often an answer is tried while its generations go away.
const ATTEMPTS_MAX: usize = 3;

/// Why one attempt at an answer failed.
enum Failed {
    /// The generation went away meanwhile, or serves no more.
    Gone,
    Error(QueryError),
}

impl From<QueryError> for Failed {
    fn from(error: QueryError) -> Self {
        Self::Error(error)
    }
}

impl Queries {
    /// Makes the query side of these read models.
    pub fn new(parts: Parts) -> Self {
        let age_max = parts.settings.registry_age_max;
        let view = |model: Arc<Model>| {
            let name = Arc::clone(&model.name);
            let tables = Arc::clone(&parts.tables);
            let (load, notice) = (Arc::clone(&parts.load), parts.notice.clone());
            let view = View::new(model, tables, load, notice, age_max);
            (name, (view, Waiting::new(&parts.settings)))
        };
        Self {
            views: parts.models.iter().cloned().map(view).collect(),
            notice: parts.notice,
            topology: parts.topology,
            settings: parts.settings,
        }
    }

    /// Returns the read models as their files say, by name.
    pub fn models(&self) -> Vec<Arc<Model>> {
        self.views.values().map(|(view, _)| view.model()).collect()
    }

    /// Hands in a definition that was read again: the queries it declares are answered from now
    /// on, by every generation that has the same rules.
    ///
    /// # Errors
    /// [`QueryError::UnknownModel`].
    pub fn replace_model(&self, model: Arc<Model>) -> Result<(), QueryError> {
        let (view, _) = self.view(&model.name)?;
        view.replace_model(model);
        Ok(())
    }

    /// Answers a query from the generation that serves, or from the one its cursor came from.
    ///
    /// # Errors
    /// [`QueryError`]; nothing has happened in any case.
    pub async fn answer(&self, request: Request) -> Result<Answer, QueryError> {
        let started = Instant::now();
        let within = if request.at_least.is_empty() {
            self.settings.read_max
        } else {
            self.settings.wait_max
        };
        let mut behind = Vec::new();
        // One bound over everything: the registry, the wait, and the wait for a connection.
        let answer = tokio::time::timeout(within, self.attempts(&request, &mut behind)).await;
        let outcome =
            answer.unwrap_or_else(|_| Err(QueryError::late(&request.model, within, behind)));
        self.measure(&request, started, &outcome);
        outcome
    }

    /// Looks at every generation of a read model.
    ///
    /// # Errors
    /// [`QueryError::UnknownModel`], [`QueryError::Unavailable`] or [`QueryError::Corrupt`].
    pub async fn overview(&self, model: &str) -> Result<Overview, QueryError> {
        overview::of(&self.view(model)?.0).await
    }

    /// Looks at every generation of every read model, by name.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`] or [`QueryError::Corrupt`].
    pub async fn overviews(&self) -> Result<Vec<Overview>, QueryError> {
        let mut overviews = Vec::with_capacity(self.views.len());
        for (view, _) in self.views.values() {
            overviews.push(overview::of(view).await?);
        }
        Ok(overviews)
    }

    fn view(&self, model: &str) -> Result<&(View, Waiting), QueryError> {
        self.views
            .get(model)
            .ok_or_else(|| QueryError::UnknownModel {
                model: model.to_owned(),
                known: self.views.keys().map(ToString::to_string).collect(),
            })
    }

    async fn attempts(
        &self,
        request: &Request,
        behind: &mut Vec<Behind>,
    ) -> Result<Answer, QueryError> {
        let (view, waiting) = self.view(&request.model)?;
        self.check_partitions(&request.at_least)?;
        let cursor = parameters::cursor(&request.parameters);
        let cursor = cursor.map(Cursor::read).transpose()?;
        for _ in 0..ATTEMPTS_MAX {
            let attempt = self.attempt(view, waiting, request, cursor.as_ref(), behind);
            match attempt.await {
                Err(Failed::Error(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
                Err(Failed::Gone) => view.forget(),
            }
        }
        Err(QueryError::Unavailable {
            model: request.model.clone(),
            source: "its generations change too quickly".into(),
        })
    }

    /// No wait could ever end for a position of a partition that is not there.
    fn check_partitions(&self, at_least: &[Position]) -> Result<(), QueryError> {
        let Some(topology) = &self.topology else {
            return Ok(());
        };
        let lanes = topology.lanes;
        let mut positions = at_least.iter();
        match positions.find(|position| position.partition.0 >= lanes) {
            None => Ok(()),
            Some(unknown) => Err(QueryError::UnknownPartition {
                position: unknown.clone(),
                lanes,
            }),
        }
    }

    async fn attempt(
        &self,
        view: &View,
        waiting: &Waiting,
        request: &Request,
        cursor: Option<&Cursor>,
        behind: &mut Vec<Behind>,
    ) -> Result<Answer, Failed> {
        let switches = self.notice.switches(&request.model);
        let open = match cursor {
            Some(cursor) => view.generation(cursor.generation).await?,
            None => view.serving().await?,
        };
        let query = find(&open.model, &request.query)?;
        let asked = parameters::read(&open.model, query, &request.parameters, &request.caller)?;
        let place = cursor.map(|cursor| cursor.place(&open.model, &asked));
        let select = Select {
            conditions: asked.conditions.clone(),
            words: asked.words.clone(),
            order: asked.order.terms.clone(),
            after: place.transpose()?,
            // One more, to know whether there is more.
            limit: asked.limit + 1,
            present_only: true,
            fresh: !request.at_least.is_empty(),
        };
        let question = Question {
            open: &open,
            select,
            at_least: waiting::relevant(&open.model, &request.at_least),
            notice: &self.notice,
            switches: cursor.is_none().then_some(switches),
            look_again: self.settings.look_again,
        };
        let selected = waiting.select(&question, behind).await;
        let selected = selected.map_err(|missed| missed_by(&request.model, missed))?;
        let user = asked.user.or(request.caller.user);
        if let Some(held_back) = HeldBack::at(&selected.absorbed, user, &question.at_least) {
            return Err(Failed::Error(QueryError::Parked {
                model: request.model.clone(),
                held_back,
            }));
        }
        Ok(self.render(&open, &asked, selected))
    }

    fn render(&self, open: &Open, asked: &Asked<'_>, selected: Selected) -> Answer {
        let Selected { absorbed, mut rows } = selected;
        let more = rows.len() > asked.limit as usize;
        rows.truncate(asked.limit as usize);
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| Cursor::after(&open.model, open.number, asked, last));
        let held_back = HeldBack::of(&absorbed, asked.user);
        let body = rendering::body(
            &open.model,
            &asked.fields,
            &rows,
            next.as_deref(),
            held_back.as_ref(),
        );
        let mut tag = Fnv::new();
        tag.add(&body);
        Answer {
            rows: rows.len(),
            next,
            positions: self.positions(&open.model, &absorbed, asked.user),
            generation: open.number,
            held_back,
            etag: format!("g{}-{}", open.number, tag.hex()),
            body,
        }
    }

    fn positions(&self, model: &Model, absorbed: &Absorbed, user: Option<UserId>) -> Vec<Position> {
        let lane = user.and_then(|user| Some(self.topology.as_ref()?.lane_of(user)));
        let mut positions = Vec::new();
        for checkpoint in &absorbed.checkpoints {
            if lane.is_some_and(|lane| lane != checkpoint.lane) {
                continue;
            }
            for context in &model.source {
                let sequence = checkpoint.sequence(context);
                if sequence > Sequence::ZERO {
                    positions.push(Position {
                        context: context.clone(),
                        partition: checkpoint.lane,
                        sequence,
                    });
                }
            }
        }
        positions
    }

    /// Counts and times a request. What no read model declares is no label: clients make it up.
    fn measure(&self, request: &Request, started: Instant, outcome: &Result<Answer, QueryError>) {
        let outcome_name = match outcome {
            Ok(_) => "answered",
            Err(error) => error.outcome(),
        };
        let declared = |(view, _): &&(View, Waiting)| view.declares(&request.query);
        let view = self.views.get(request.model.as_str());
        let (model, query) = match view.filter(declared) {
            Some(_) => (request.model.clone(), request.query.clone()),
            None => ("unknown".to_owned(), "unknown".to_owned()),
        };
        let labels = [("view", model), ("query", query)];
        metrics::histogram!("foldline_query_seconds", &labels).record(started.elapsed());
        let [view, query] = labels;
        let labels = [view, query, ("outcome", outcome_name.to_owned())];
        metrics::counter!("foldline_queries_total", &labels).increment(1);
    }
}

fn missed_by(model: &str, missed: Missed) -> Failed {
    match missed {
        Missed::Replaced | Missed::Table(TableError::NoGeneration { .. }) => Failed::Gone,
        Missed::Table(error) => Failed::Error(QueryError::of_table(model, error)),
        Missed::TooMany => Failed::Error(QueryError::Unavailable {
            model: model.to_owned(),
            source: "too many queries wait for the read model to catch up".into(),
        }),
    }
}

fn find<'m>(model: &'m Model, query: &str) -> Result<&'m Query, QueryError> {
    model.query(query).ok_or_else(|| QueryError::UnknownQuery {
        model: model.name.to_string(),
        query: query.to_owned(),
        known: model.queries.iter().map(|q| q.name.to_string()).collect(),
    })
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries")
            .field("models", &self.views.keys())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
