//! What a node is told: defaults, a TOML file, environment variables, flags; the later wins.

mod log;

mod auth;
mod http;
mod state;
mod tables;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use self::{
    auth::{AuthSettings, Secret},
    http::HttpSettings,
    state::StateSettings,
    tables::{CqlTables, PostgresTables, Store, TablesSettings},
};

pub use log::{KafkaSettings, LogSettings};

/// Where a node listens unless told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7373";
/// The file that is read where it exists and no other one is named.
pub const FILE_DEFAULT: &str = "foldline.toml";

/// Everything a node can be told. Every field has a default; `FOLDLINE_COMMAND__TIMEOUT_MS=500`
/// in the environment is `timeout_ms` under `[command]` in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// The directory of the embedded log and tables.
    pub data: PathBuf,
    /// The address to listen on; an open node listens on loopback only.
    pub listen: SocketAddr,
    /// Who is let in.
    pub auth: AuthSettings,
    /// The server.
    pub http: HttpSettings,
    /// A directory of read-model files to use instead of the built-in ones.
    pub projections: Option<PathBuf>,
    /// The log.
    pub log: LogSettings,
    /// The command side.
    pub command: CommandSettings,
    /// The states that decisions are made from.
    pub state: StateSettings,
    /// Where read models keep their rows.
    pub tables: TablesSettings,
    /// The read models.
    pub projector: ProjectorSettings,
    /// The query side.
    pub query: QuerySettings,
    /// What the node says of itself.
    pub telemetry: TelemetrySettings,
}

/// The command side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandSettings {
    /// The most commands that wait for one lane.
    pub queue_commands_max: usize,
    /// How many accepted commands a stream remembers by their keys.
    pub remembered_commands: usize,
    /// How many events a lane appends between two snapshot rounds.
    pub snapshot_events: usize,
    /// How long a command may take before its caller is told that the outcome is unknown.
    pub timeout_ms: u64,
    /// Where the other nodes of a log on Kafka reach this one, such as `http://10.0.0.7:8080`; the
    /// address it listens on unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The read models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectorSettings {
    /// The most users a generation holds back before it stops.
    pub parked_max: usize,
}

/// The query side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySettings {
    /// How long a read with `Foldline-At-Least` takes at most, the wait included.
    pub at_least_timeout_ms: u64,
    /// How long any other read takes at most.
    pub read_timeout_ms: u64,
}

/// What the node says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// How log lines look.
    pub format: LogFormat,
    /// Which of them are printed, as `tracing-subscriber` filters are written.
    pub filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            data: PathBuf::from("foldline-data"),
            listen: LISTEN_DEFAULT.parse().expect("a literal address"),
            auth: AuthSettings::default(),
            http: HttpSettings::default(),
            projections: None,
            log: LogSettings::default(),
            command: CommandSettings::default(),
            state: StateSettings::default(),
            tables: TablesSettings::default(),
            projector: ProjectorSettings::default(),
            query: QuerySettings::default(),
            telemetry: TelemetrySettings::default(),
        }
    }
}

impl Default for CommandSettings {
    fn default() -> Self {
        let settings = foldline_command::Settings::default();
        Self {
            queue_commands_max: settings.queue_commands_max,
            remembered_commands: settings.remembered_commands,
            snapshot_events: settings.snapshot_events,
            timeout_ms: u64::try_from(settings.command_timeout.as_millis()).unwrap_or(u64::MAX),
            address: None,
        }
    }
}

impl CommandSettings {
    /// Returns where the other nodes reach this one.
    ///
    /// # Errors
    /// When what is given is no such address, or nothing is and every address is listened on.
    pub(crate) fn address(&self, listen: SocketAddr) -> anyhow::Result<String> {
        let Some(address) = &self.address else {
            anyhow::ensure!(
                !listen.ip().is_unspecified(),
                "other nodes pass commands on to this one, and `{listen}` does not say where it \
                 is: name an address that reaches it with `command.address`, such as \
                 `http://10.0.0.7:{}`",
                listen.port()
            );
            return Ok(format!("http://{listen}"));
        };
        let uri = address.parse::<axum::http::Uri>().ok();
        let is_root = |uri: &axum::http::Uri| {
            let names_a_host = uri.host().is_some_and(|host| !host.is_empty());
            uri.scheme_str() == Some("http") && names_a_host && uri.path() == "/"
        };
        anyhow::ensure!(
            uri.as_ref().is_some_and(is_root) && !address.ends_with(['/', '?']),
            "`command.address` is `{address}`: write where other nodes reach this one as \
             `http://HOST:PORT`"
        );
        Ok(address.clone())
    }

    pub(crate) fn settings(&self) -> foldline_command::Settings {
        foldline_command::Settings {
            queue_commands_max: self.queue_commands_max.max(1),
            remembered_commands: self.remembered_commands.max(1),
            snapshot_events: self.snapshot_events.max(1),
            command_timeout: Duration::from_millis(self.timeout_ms),
            ..foldline_command::Settings::default()
        }
    }
}

impl Default for ProjectorSettings {
    fn default() -> Self {
        Self { parked_max: 1000 }
    }
}

impl ProjectorSettings {
    pub(crate) fn settings(&self) -> foldline_projector::Settings {
        foldline_projector::Settings {
            parked_max: self.parked_max,
            ..foldline_projector::Settings::default()
        }
    }
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self {
            at_least_timeout_ms: 2000,
            read_timeout_ms: 5000,
        }
    }
}

impl QuerySettings {
    pub(crate) fn settings(&self) -> foldline_query::Settings {
        foldline_query::Settings {
            wait_max: Duration::from_millis(self.at_least_timeout_ms),
            read_max: Duration::from_millis(self.read_timeout_ms),
            ..foldline_query::Settings::default()
        }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            filter: "info,fjall=warn,lsm_tree=warn".to_owned(),
        }
    }
}

impl Configuration {
    /// Reads the configuration: defaults, then the file, then the environment.
    ///
    /// # Errors
    /// When the file is named and absent, or anything in it or the environment is unknown or has
    /// another type than it should; the error names the place.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        match file {
            Some(file) => {
                let found = file.is_file();
                anyhow::ensure!(found, "there is no configuration file `{}`", file.display());
                figment = figment.merge(Toml::file_exact(file));
            }
            None => figment = figment.merge(Toml::file(FILE_DEFAULT)),
        }
        // `FOLDLINE_URL` and the like belong to the tools that talk to a node, and
        // `FOLDLINE_TEST_KAFKA` and the like to tests.
        let tools = [
            "FOLDLINE_URL",
            "FOLDLINE_CONFIG",
            "FOLDLINE_TOKEN",
            "FOLDLINE_GOLDENS",
            "FOLDLINE_OLIST",
            "FOLDLINE_SEED",
        ];
        let environment = Env::prefixed("FOLDLINE_")
            .filter(move |key| {
                let is_key =
                    |tool: &&str| tool["FOLDLINE_".len()..].eq_ignore_ascii_case(key.as_str());
                !key.starts_with("TEST_") && !tools.iter().any(is_key)
            })
            .split("__");
        figment
            .merge(environment)
            .extract()
            .context("the configuration cannot be read")
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// When an open node would listen to other machines, or a bound makes no sense.
    pub fn check(&self) -> anyhow::Result<()> {
        self.auth.check(self.listen)?;
        self.http.rates()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(given: Option<&str>, listen: &str) -> anyhow::Result<String> {
        let settings = CommandSettings {
            address: given.map(str::to_owned),
            ..CommandSettings::default()
        };
        settings.address(listen.parse().expect("a literal address"))
    }

    #[test]
    fn other_nodes_are_told_where_this_one_is() {
        let listens = address(None, "127.0.0.1:7373").unwrap();
        assert_eq!(listens, "http://127.0.0.1:7373");
        let named = address(Some("http://node-a:80"), "0.0.0.0:7373").unwrap();
        assert_eq!(named, "http://node-a:80");
    }

    #[test]
    fn an_address_that_leads_nowhere_is_refused() {
        for wildcard in ["0.0.0.0:7373", "[::]:7373"] {
            let refused = address(None, wildcard).unwrap_err().to_string();
            assert!(refused.contains("`command.address`"), "{refused}");
        }
        for wrong in [
            "node-a",
            "https://node-a",
            "http://node-a/",
            "http://node-a/v1",
            "http://",
        ] {
            let refused = address(Some(wrong), "127.0.0.1:7373");
            assert!(refused.is_err(), "{wrong}");
        }
    }
}
