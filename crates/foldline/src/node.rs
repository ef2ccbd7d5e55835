//! A node: the parts of its role, put together.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use foldline_command::CommandSide;
use foldline_http::Gate;
use foldline_projector::{Load, Parts, Projectors};
use foldline_query::{Notice, Queries};
use foldline_read_model::Model;
use foldline_tables::{Sqlite, Tables};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Application,
    admin::{self, Admin},
    configuration::Configuration,
    definitions::Definitions,
    log::Log,
    switches::TellingTables,
};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Dev,
    /// The command side alone.
    Command,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::Command => "command",
        })
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    command: Arc<CommandSide>,
    views: Option<Views>,
    admin: Arc<Admin>,
    gate: Arc<Gate>,
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
        let name = application.log_name()?;
        let gate = gate(&configuration)?;
        let (contexts, definitions) = application.into_parts();
        let definitions = definitions.in_directory(configuration.projections.as_deref());
        // First: a slip in a file must not leave a new log behind.
        let models = match role {
            Role::Command => None,
            Role::Dev => Some(
                definitions
                    .load()
                    .context("the read models' files have errors")?,
            ),
        };
        let log = Log::open(&configuration, name, contexts.names()).await?;
        let views = match models {
            None => None,
            Some(models) => Some(Views::start(&configuration, &definitions, models, &log).await?),
        };
        let command = Arc::new(CommandSide::start(
            log.events.clone(),
            log.snapshots.clone(),
            contexts,
            configuration.command.settings(),
        ));
        let admin = Arc::new(Admin {
            log,
            command: command.clone(),
            views: views.clone(),
            definitions,
            metrics,
            configuration,
        });
        Ok(Self {
            command,
            views,
            admin,
            gate: Arc::new(gate),
        })
    }

    /// Serves until told to stop; then answers what is open and saves what makes the next start
    /// quick.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let routes = self.routes();
        let bounds = self.admin.configuration.http.bounds();
        foldline_http::serve_within(bounds, listener, routes, stop).await;
        self.command.stop().await;
        if let Some(views) = &self.views {
            views.projectors.stop().await;
        }
    }

    fn routes(&self) -> Router {
        let mut routes = foldline_http::command_routes(self.command.clone(), self.gate.clone())
            .merge(admin::public_routes(self.admin.clone()))
            .merge(foldline_http::for_staff(
                &self.gate,
                admin::staff_routes(self.admin.clone()),
            ));
        if let Some(views) = &self.views {
            let queries = views.queries.clone();
            routes = routes.merge(foldline_http::query_routes(queries, self.gate.clone()));
        }
        // A caller who shows a token is known by it, whatever page has sent the request.
        let auth = &self.admin.configuration.auth;
        if auth.is_open() && !auth.open {
            foldline_http::open_node(routes)
        } else {
            foldline_http::node(routes)
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

/// The read models of a node: what keeps them up, and what answers from them.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    pub(crate) projectors: Arc<Projectors>,
    pub(crate) queries: Arc<Queries>,
}

impl Views {
    async fn start(
        configuration: &Configuration,
        definitions: &Definitions,
        models: Vec<Arc<Model>>,
        log: &Log,
    ) -> anyhow::Result<Self> {
        let tables: Arc<dyn Tables> =
            Arc::new(Sqlite::open(&configuration.data.join("tables")).await?);
        let stored = definitions.clone();
        let load: Load = Arc::new(move |model, text| stored.parse(model, text));
        let notice = Notice::new(&models);
        let queries = Queries::new(foldline_query::Parts {
            tables: tables.clone(),
            models: models.clone(),
            load: load.clone(),
            notice: notice.clone(),
            topology: Some(log.events.topology().clone()),
            settings: configuration.query.settings(),
        });
        let projectors = Projectors::start(Parts {
            log: log.events.clone(),
            tables: Arc::new(TellingTables {
                tables,
                notice: notice.clone(),
            }),
            catalog: definitions.catalog(),
            models,
            load,
            notice: Arc::new(move |model| notice.absorbed(model)),
            settings: configuration.projector.settings(),
        });
        Ok(Self {
            projectors: Arc::new(projectors),
            queries: Arc::new(queries),
        })
    }
}
