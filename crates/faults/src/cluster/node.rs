//! A node of the marketplace: a process by its role, with a clock and a way to the broker.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::Result;
use rustix::process::Signal;

use super::{
    clock::Clock,
    process::Process,
    proxy::{Proxy, Way},
};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes commands.
    Command,
    /// Keeps the read models up.
    Projector,
    /// Answers queries; it knows no broker.
    Query,
}

impl Role {
    /// The word on the node's command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Projector => "projector",
            Self::Query => "query",
        }
    }
}

/// How a node is started.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) market: PathBuf,
    pub(super) directory: PathBuf,
    /// Its tables; projectors and queries share theirs.
    pub(super) data: PathBuf,
    pub(super) port: u16,
    /// The broker as this node is told of it: its proxy.
    pub(super) broker: Option<u16>,
    pub(super) lanes: u16,
    /// What is preloaded.
    pub(super) clock: PathBuf,
    /// A failpoint that is always set.
    pub(super) broken: Option<&'static str>,
}

/// A node, running or not.
#[derive(Debug)]
pub struct Node {
    /// Its name in what is printed, such as `command-1`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Where it listens.
    pub url: String,
    place: Place,
    process: Process,
    clock: Clock,
    way: Option<Proxy>,
}

impl Node {
    pub(super) fn new(name: String, role: Role, place: Place, way: Option<Proxy>) -> Result<Self> {
        fs::create_dir_all(&place.directory)?;
        fs::write(place.directory.join("foldline.toml"), configuration(&place))?;
        Ok(Self {
            name,
            role,
            url: format!("http://127.0.0.1:{}", place.port),
            process: Process::new(place.directory.join("printed.txt")),
            clock: Clock::new(place.directory.join("clock"))?,
            way,
            place,
        })
    }

    /// Starts it, with what its failpoints are to do, in the words of the crate `fail`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, failpoints: Option<&str>) -> Result<()> {
        let mut command = Command::new(&self.place.market);
        command.arg(self.role.word()).arg("--config");
        command.arg(self.place.directory.join("foldline.toml"));
        command.current_dir(&self.place.directory);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOLDLINE_") {
                command.env_remove(name);
            }
        }
        command
            .env("LD_PRELOAD", &self.place.clock)
            .env("FAULTS_CLOCK", &self.clock.path);
        let failpoints: Vec<&str> = self.place.broken.into_iter().chain(failpoints).collect();
        if !failpoints.is_empty() {
            command.env("FAILPOINTS", failpoints.join(";"));
        }
        self.process.start(&mut command)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end in good order.
    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Stops it where it stands; it does not notice.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on where it stood.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Whether its process is there, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Sets its clock beside the true time.
    ///
    /// # Errors
    /// When the file that tells it cannot be written.
    pub fn shift_clock(&self, ms: i64) -> Result<()> {
        self.clock.shift_ms(ms)
    }

    /// Sets its way to the broker.
    pub fn set_way(&self, way: Way) {
        if let Some(proxy) = &self.way {
            proxy.set(way);
        }
    }

    /// The last lines that it printed.
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

/// How long a node may take over a transaction: what it leaves open holds readers up for so long.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may say nothing before its lanes are given to others.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(2);
/// How many events a lane takes between two rounds of snapshots: few, so that rounds happen.
const SNAPSHOT_EVENTS: u32 = 400;

fn configuration(place: &Place) -> String {
    let Place { data, port, .. } = place;
    let mut text = format!(
        "data = {data:?}\nlisten = \"127.0.0.1:{port}\"\n\n[telemetry]\nformat = \"json\"\n\n\
         [command]\nsnapshot_events = {SNAPSHOT_EVENTS}\n\n[log]\nlanes = {}\n",
        place.lanes
    );
    if let Some(broker) = place.broker {
        let (transaction, session) = (TRANSACTION_TIMEOUT.as_millis(), SESSION_TIMEOUT.as_millis());
        text += &format!(
            "\n[log.kafka]\nbrokers = \"127.0.0.1:{broker}\"\ntopic_prefix = \"{PREFIX}\"\n\
             transaction_timeout_ms = {transaction}\nsession_timeout_ms = {session}\n\
             request_timeout_ms = 5000\n"
        );
    }
    text
}

/// What the names of the log's topics begin with.
pub const PREFIX: &str = "faults.";
