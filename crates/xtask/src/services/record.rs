//! What is remembered of a running server, and where its files lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ports::Ports, process::Process, server::Server};
use crate::workspace::root;

/// What runs a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    /// A process of this machine.
    Native,
    /// A container of `docker/compose.yaml`.
    Docker,
}

/// The state of a checkout's servers: one directory each, in `target/services`.
pub(super) struct Places {
    services: PathBuf,
}

impl Places {
    /// Returns the places of this checkout.
    pub(super) fn here() -> Self {
        Self {
            services: root().join("target/services"),
        }
    }

    /// Returns the directory of all servers, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn services(&self) -> Result<&Path> {
        fs::create_dir_all(&self.services)
            .with_context(|| format!("cannot make {}", self.services.display()))?;
        Ok(&self.services)
    }

    /// Returns the directory of a server.
    pub(super) fn of(&self, server: Server) -> PathBuf {
        self.services.join(server.name())
    }

    /// Returns the path of a server's log.
    pub(super) fn log(&self, server: Server) -> PathBuf {
        self.of(server).join("server.log")
    }
}

/// A server that was started: its pid file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// What runs it.
    pub(super) engine: Engine,
    /// Its process, where it is one of this machine.
    pub(super) process: Option<Process>,
    /// Its version.
    pub(super) version: String,
    /// Where it listens.
    pub(super) ports: Ports,
    /// When it was started.
    pub(super) since: Timestamp,
    /// Whether it compiles fully, for benchmarks.
    pub(super) jit: bool,
    /// Whether tests started it, so that the last of them takes it down.
    pub(super) for_tests: bool,
}

impl Record {
    const FILE: &str = "running.json";

    /// Reads what was remembered of a server; `None` if there is nothing that can be read.
    pub(super) fn load(places: &Places, server: Server) -> Option<Self> {
        let text = fs::read(places.of(server).join(Self::FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Remembers a server.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn save(&self, places: &Places, server: Server) -> Result<()> {
        let path = places.of(server).join(Self::FILE);
        let aside = path.with_extension("new");
        let text = serde_json::to_vec_pretty(self).context("cannot write JSON")?;
        // Renamed, so that a reader never sees half of it.
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Forgets a server.
    pub(super) fn remove(places: &Places, server: Server) {
        // Not there is what is wanted.
        let _ = fs::remove_file(places.of(server).join(Self::FILE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_cut_off_is_none() {
        let places = Places {
            services: std::env::temp_dir().join(format!("foldline-record-{}", std::process::id())),
        };
        fs::create_dir_all(places.of(Server::Kafka)).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let record = Record {
            engine: Engine::Native,
            process: Process::of(own),
            version: "4.1.0".to_owned(),
            ports: Ports::default(),
            since: Timestamp::UNIX_EPOCH,
            jit: false,
            for_tests: true,
        };
        record.save(&places, Server::Kafka).unwrap();
        let read = Record::load(&places, Server::Kafka).unwrap();
        assert_eq!(read.process, record.process);
        assert!(read.for_tests);

        let file = places.of(Server::Kafka).join(Record::FILE);
        let text = fs::read(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert!(Record::load(&places, Server::Kafka).is_none());
        Record::remove(&places, Server::Kafka);
        assert!(!file.exists());
        fs::remove_dir_all(places.services().unwrap()).unwrap();
    }
}
