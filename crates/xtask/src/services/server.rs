//! The servers there are: their names, pinned versions, and how they differ.

use std::{fmt, process::Command, time::Duration};

use anyhow::Result;
use clap::ValueEnum;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{
    cassandra,
    fetch::Package,
    home::Home,
    kafka,
    ports::{Port, Ports},
    postgres,
    record::Engine,
};

/// A server that can be run on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Server {
    /// The log: Apache Kafka, one broker that is its own controller.
    Kafka,
    /// Wide tables: Apache Cassandra; ScyllaDB where Docker runs it.
    Cassandra,
    /// Relational tables: Postgres.
    Postgres,
}

impl Server {
    /// Every server, in the order in which they are shown.
    pub(super) const ALL: [Self; 3] = [Self::Kafka, Self::Cassandra, Self::Postgres];

    /// The name on the command line, in `docker/compose.yaml` and of the directory.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
            Self::Postgres => "postgres",
        }
    }

    /// What runs under that name.
    pub(super) fn product(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Self::Kafka, _) => "Apache Kafka",
            (Self::Cassandra, Engine::Native) => "Apache Cassandra",
            (Self::Cassandra, Engine::Docker) => "ScyllaDB",
            (Self::Postgres, _) => "Postgres",
        }
    }

    /// The version that is run; `docker/compose.yaml` has the same.
    pub(super) fn version(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Self::Kafka, _) => "4.1.0",
            (Self::Cassandra, Engine::Native) => "5.0.6",
            (Self::Cassandra, Engine::Docker) => "2026.2.4",
            (Self::Postgres, _) => "18.1",
        }
    }

    /// The environment variable that tells tests where it is.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Kafka => "FOLDLINE_TEST_KAFKA",
            Self::Cassandra => "FOLDLINE_TEST_CASSANDRA",
            Self::Postgres => "FOLDLINE_TEST_POSTGRES",
        }
    }

    /// The value of that variable.
    pub(super) fn value(self, ports: Ports) -> String {
        let address = self.address(ports);
        match self {
            Self::Kafka | Self::Cassandra => address,
            Self::Postgres => format!("postgres://postgres@{address}/postgres"),
        }
    }

    /// Where clients find it.
    pub(super) fn address(self, ports: Ports) -> String {
        format!("127.0.0.1:{}", ports.of(self.port()))
    }

    /// The port that clients use.
    pub(super) fn port(self) -> Port {
        match self {
            Self::Kafka => Port::Kafka,
            Self::Cassandra => Port::Cassandra,
            Self::Postgres => Port::Postgres,
        }
    }

    /// Every port it listens on when it runs natively.
    pub(super) fn ports(self) -> &'static [Port] {
        match self {
            Self::Kafka => &[Port::Kafka, Port::KafkaController],
            Self::Cassandra => &[Port::Cassandra, Port::CassandraNodes],
            Self::Postgres => &[Port::Postgres],
        }
    }

    /// For how long it may take until it answers.
    pub(super) fn ready_max(self) -> Duration {
        /// Ten times what it takes alone on two cores, for a machine that is busy building.
        const READY_MAX: Duration = Duration::from_secs(90);
        READY_MAX
    }

    /// The signal upon which it ends in good order.
    pub(super) fn stop_signal(self) -> Signal {
        match self {
            Self::Kafka | Self::Cassandra => Signal::TERM,
            // Upon TERM it would wait for every client to leave.
            Self::Postgres => Signal::INT,
        }
    }

    /// What is fetched to run it natively.
    pub(super) fn package(self) -> Result<Package> {
        match self {
            Self::Kafka => Ok(kafka::package()),
            Self::Cassandra => Ok(cassandra::package()),
            Self::Postgres => postgres::package(),
        }
    }

    /// Whether it runs in Java.
    pub(super) fn is_java(self) -> bool {
        self != Self::Postgres
    }

    /// The files of its configuration, by name.
    pub(super) fn configuration(self, home: &Home) -> Vec<(&'static str, String)> {
        match self {
            Self::Kafka => kafka::configuration(home),
            Self::Cassandra => cassandra::configuration(home),
            Self::Postgres => Vec::new(),
        }
    }

    /// What makes empty data usable; `None` where the server does so itself.
    pub(super) fn preparation(self, home: &Home) -> Option<Command> {
        match self {
            Self::Kafka => Some(kafka::preparation(home)),
            Self::Cassandra => None,
            Self::Postgres => Some(postgres::preparation(home)),
        }
    }

    /// Removes what a killed server leaves in its data that would keep it from starting.
    pub(super) fn clear(self, home: &Home) {
        if self == Self::Postgres {
            postgres::clear(home);
        }
    }

    /// The server itself, in the foreground, its log on the standard output.
    pub(super) fn command(self, home: &Home) -> Result<Command> {
        match self {
            Self::Kafka => Ok(kafka::command(home)),
            Self::Cassandra => cassandra::command(home),
            Self::Postgres => Ok(postgres::command(home)),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_runs_the_same_versions() {
        let compose = include_str!("../../../../docker/compose.yaml");
        for (image, server) in [
            ("apache/kafka", Server::Kafka),
            ("scylladb/scylla", Server::Cassandra),
            ("postgres", Server::Postgres),
        ] {
            let version = server.version(Engine::Docker);
            let line = format!("    image: {image}:{version}\n");
            assert!(compose.contains(&line), "no {line}");
        }
    }

    #[test]
    fn docker_publishes_the_same_ports() {
        let compose = include_str!("../../../../docker/compose.yaml");
        for server in Server::ALL {
            let port = Ports::default().of(server.port());
            let name = server.name().to_uppercase();
            let published = format!("127.0.0.1:${{FOLDLINE_{name}_PORT:-{port}}}:");
            assert!(compose.contains(&published), "no {published}");
        }
    }
}
