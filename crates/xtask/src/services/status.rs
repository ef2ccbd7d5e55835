//! `status`: what runs, where, since when and in how much memory.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    compose,
    record::{Engine, Places, Record},
    server::Server,
    stop::is_running,
};

/// What `status --json` says of a server that runs.
#[derive(Serialize)]
pub(super) struct Status {
    name: &'static str,
    product: &'static str,
    version: String,
    address: String,
    /// The variable that tests read, and its value.
    variable: &'static str,
    value: String,
    since: Timestamp,
    engine: Engine,
    /// The process; absent where Docker runs it.
    pid: Option<i32>,
    /// Absent where Docker runs it.
    resident_bytes: Option<u64>,
    /// As Docker shows it; absent elsewhere.
    container_memory: Option<String>,
    /// Whether it compiles fully, as for benchmarks.
    jit: bool,
    /// Whether the last test to end takes it down.
    for_tests: bool,
    log: Option<String>,
}

impl Status {
    /// Looks at a server; `None` if it does not run.
    pub(super) fn of(places: &Places, server: Server) -> Option<Self> {
        let record = Record::load(places, server).filter(|it| is_running(server, it))?;
        let is_native = record.engine == Engine::Native;
        let process = record.process.as_ref();
        Some(Self {
            name: server.name(),
            product: server.product(record.engine),
            address: server.address(record.ports),
            variable: server.variable(),
            value: server.value(record.ports),
            since: record.since,
            engine: record.engine,
            pid: process.map(|process| process.pid),
            resident_bytes: process.and_then(|process| process.resident_bytes()),
            container_memory: (!is_native).then(|| compose::memory(server)).flatten(),
            jit: record.jit,
            for_tests: record.for_tests,
            log: is_native.then(|| places.log(server).display().to_string()),
            version: record.version,
        })
    }

    /// The environment variable that tests read, as `NAME=VALUE`.
    pub(super) fn assignment(&self) -> String {
        format!("{}={}", self.variable, self.value)
    }

    fn memory(&self) -> String {
        /// Bytes in a MiB.
        const MIB: u64 = 1024 * 1024;
        match (self.resident_bytes, &self.container_memory) {
            (Some(bytes), _) => format!("{} MiB", bytes.div_ceil(MIB)),
            (None, Some(shown)) => shown.clone(),
            (None, None) => "unknown".to_owned(),
        }
    }
}

/// Returns a table of servers, those that do not run included.
pub(super) fn table(all: &[(Server, Option<Status>)]) -> String {
    let mut table = row(["name", "version", "address", "running since", "memory"]);
    for (server, status) in all {
        let name = server.name();
        table += &match status {
            None => row([name, "", "", "does not run", ""]),
            Some(status) => row([
                name,
                &format!("{} {}", status.product, status.version),
                &status.address,
                &status.since.strftime("%F %T UTC").to_string(),
                &status.memory(),
            ]),
        };
    }
    table
}

fn row([name, version, address, since, memory]: [&str; 5]) -> String {
    let row = format!("{name:<9}  {version:<22}  {address:<15}  {since:<23}  {memory:>9}");
    format!("{}\n", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_runs_and_what_does_not() {
        let status = Status {
            name: "kafka",
            product: "Apache Kafka",
            version: "4.1.0".to_owned(),
            address: "127.0.0.1:21092".to_owned(),
            variable: "FOLDLINE_TEST_KAFKA",
            value: "127.0.0.1:21092".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            engine: Engine::Native,
            pid: Some(1),
            resident_bytes: Some(400 * 1024 * 1024),
            container_memory: None,
            jit: false,
            for_tests: false,
            log: None,
        };
        let shown = table(&[(Server::Kafka, Some(status)), (Server::Postgres, None)]);
        let expected = "\
name       version                 address          running since               memory
kafka      Apache Kafka 4.1.0      127.0.0.1:21092  1970-01-01 00:00:00 UTC    400 MiB
postgres                                            does not run
";
        assert_eq!(shown, expected);
    }
}
