//! A node: the parts of its role, put together.

use std::sync::Arc;

use anyhow::Context as _;
use foldline_command::{CommandSide, Contexts, Neighbours};
use foldline_http::{Gate, HttpCourier};
use foldline_projector::{Load, Projectors};
use foldline_query::{Notice, Queries};
use foldline_read_model::Model;
use foldline_schema::Catalog;
use foldline_tables::Tables;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Application,
    admin::{self, Admin},
    configuration::Configuration,
    definitions::Definitions,
    lanes::{Announced, Lanes},
    log::Log,
    role::Role,
    spread_projectors::{self, SpreadProjectors},
    stores,
    switches::TellingTables,
};

/// A running node.
#[derive(Debug)]
pub struct Node {
    parts: Parts,
    admin: Arc<Admin>,
    gate: Arc<Gate>,
}

/// What runs in a node, by its role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) log: Option<Log>,
    pub(crate) command: Option<Arc<CommandSide>>,
    /// Which lanes the command side has, where other nodes could have them.
    pub(crate) lanes: Option<Arc<Lanes>>,
    pub(crate) projectors: Option<Arc<Projectors>>,
    /// Which lanes the projectors follow, where other processes could follow them.
    pub(crate) spread_projectors: Option<Arc<SpreadProjectors>>,
    pub(crate) queries: Option<Arc<Queries>>,
}

impl Node {
    /// Opens the log and starts the parts of the role.
    ///
    /// # Errors
    /// When the log or the tables cannot be opened, or a read model's file has errors.
    pub async fn start(
        application: Application,
        configuration: Configuration,
        role: Role,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        role.check(&configuration)?;
        let name = application.log_name()?;
        let gate = gate(&configuration)?;
        let (contexts, definitions) = application.into_parts();
        let definitions = definitions.in_directory(configuration.projections.as_deref());
        // First: a slip in a file must not leave a new log behind.
        let models = match role {
            Role::Command => Vec::new(),
            Role::Dev | Role::Projector | Role::Query => definitions
                .load()
                .context("the read models' files have errors")?,
        };
        let mut parts = Parts::default();
        if role != Role::Query {
            parts.log = Some(Log::open(&configuration, name, contexts.names()).await?);
        }
        if role != Role::Command {
            let views = Views::open(&configuration, &definitions, models, role).await?;
            parts.start_views(views, role, &configuration)?;
        }
        if let Role::Dev | Role::Command = role {
            parts.start_commands(&contexts, &configuration).await?;
        }
        let admin = Arc::new(Admin {
            parts: parts.clone(),
            contexts,
            definitions,
            metrics,
            configuration,
        });
        Ok(Self {
            parts,
            admin,
            gate: Arc::new(gate),
        })
    }

    /// Serves until told to stop; then answers what is open and saves what makes the next start
    /// quick.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let node = self.service();
        let bounds = self.admin.configuration.http.bounds();
        let stop_http = CancellationToken::new();
        let serving = foldline_http::serve_within(bounds, listener, node, stop_http.clone());
        let stopping = async {
            stop.cancelled().await;
            // While the lanes are handed over, commands are still taken and passed on.
            if let Some(lanes) = &self.parts.lanes {
                lanes.leave().await;
            }
            if let Some(projectors) = &self.parts.spread_projectors {
                projectors.leave().await;
            }
            stop_http.cancel();
        };
        tokio::join!(serving, stopping);
        if let Some(command) = &self.parts.command {
            command.stop().await;
        }
        if let Some(projectors) = &self.parts.projectors {
            projectors.stop().await;
        }
    }

    fn service(&self) -> foldline_http::Node {
        let mut routes = admin::public_routes(self.admin.clone()).merge(foldline_http::for_staff(
            &self.gate,
            admin::staff_routes(self.admin.clone()),
        ));
        if let Some(command) = &self.parts.command {
            let commands = foldline_http::command_routes(command.clone(), self.gate.clone());
            routes = routes.merge(commands);
        }
        if let Some(queries) = &self.parts.queries {
            let queries = foldline_http::query_routes(queries.clone(), self.gate.clone());
            routes = routes.merge(queries);
        }
        // A caller who shows a token is known by it, whatever page has sent the request.
        let auth = &self.admin.configuration.auth;
        if auth.is_open() && !auth.open {
            foldline_http::Node::open(routes)
        } else {
            foldline_http::Node::new(routes)
        }
    }
}

fn gate(configuration: &Configuration) -> anyhow::Result<Gate> {
    let gate = match configuration.auth.tokens()? {
        Some(tokens) => Gate::of_tokens(tokens),
        None => Gate::open(),
    };
    Ok(match configuration.http.rates()? {
        Some(rates) => gate.with_rates(rates),
        None => gate,
    })
}

/// The read models and where their rows are, before anything runs.
struct Views {
    tables: Arc<dyn Tables>,
    models: Vec<Arc<Model>>,
    catalog: Arc<Catalog>,
    load: Load,
    notice: Notice,
}

impl Views {
    async fn open(
        configuration: &Configuration,
        definitions: &Definitions,
        models: Vec<Arc<Model>>,
        role: Role,
    ) -> anyhow::Result<Self> {
        let stored = definitions.clone();
        Ok(Self {
            tables: stores::open(configuration, &models, role).await?,
            notice: Notice::new(&models),
            models,
            catalog: definitions.catalog(),
            load: Arc::new(move |model, text| stored.parse(model, text)),
        })
    }
}

impl Parts {
    async fn start_commands(
        &mut self,
        contexts: &Arc<Contexts>,
        configuration: &Configuration,
    ) -> anyhow::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let (events, snapshots) = (log.events.clone(), log.snapshots.clone());
        let (contexts, settings) = (contexts.clone(), configuration.command_side());
        let Some(spread) = &log.spread else {
            let side = CommandSide::start(events, snapshots, contexts, settings);
            self.command = Some(Arc::new(side));
            return Ok(());
        };
        let owners = spread.owners().await?;
        let neighbours = Neighbours {
            owners: Arc::new(Announced(owners.clone())),
            courier: Arc::new(HttpCourier::default()),
            address: configuration.command.address(configuration.listen)?,
        };
        let side = CommandSide::start_among(neighbours, events, snapshots, contexts, settings);
        let side = Arc::new(side);
        self.lanes = Some(Arc::new(Lanes::start(spread.clone(), owners, side.clone())));
        self.command = Some(side);
        Ok(())
    }

    fn start_views(
        &mut self,
        views: Views,
        role: Role,
        configuration: &Configuration,
    ) -> anyhow::Result<()> {
        if let Role::Dev | Role::Query = role {
            let topology = self.log.as_ref().map(|log| log.events.topology().clone());
            self.queries = Some(Arc::new(Queries::new(foldline_query::Parts {
                tables: views.tables.clone(),
                models: views.models.clone(),
                load: views.load.clone(),
                notice: views.notice.clone(),
                topology,
                settings: configuration.query.settings(),
            })));
        }
        if let (Role::Dev | Role::Projector, Some(log)) = (role, &self.log) {
            let notice = views.notice.clone();
            let parts = foldline_projector::Parts {
                log: log.events.clone(),
                tables: Arc::new(TellingTables {
                    tables: views.tables,
                    notice: views.notice,
                }),
                catalog: views.catalog,
                models: views.models,
                load: views.load,
                notice: Arc::new(move |model| notice.absorbed(model)),
                settings: configuration.projector.settings(),
            };
            self.projectors = Some(Arc::new(match &log.spread {
                None => Projectors::start(parts),
                Some(_) => Projectors::start_without_lanes(parts),
            }));
        }
        if let (Some(projectors), Some(spread)) = (
            &self.projectors,
            self.log.as_ref().and_then(|log| log.spread.clone()),
        ) {
            let group = spread_projectors::group_of(configuration)?;
            let spread = SpreadProjectors::start(spread, projectors.clone(), group);
            self.spread_projectors = Some(Arc::new(spread));
        }
        Ok(())
    }
}
