//! `cargo xtask services`: real servers on loopback, for development and for tests.
//!
//! Kafka holds the log, Cassandra the wide tables and Postgres the relational ones. Where a Docker
//! engine answers they are containers of `docker/compose.yaml` (with ScyllaDB in Cassandra's
//! place), elsewhere processes of the caller: fetched once by Maven into a cache outside the tree,
//! with their data, logs and pid files in `target/services`, one directory each. They listen on
//! loopback alone, on ports that no server has by default.
//!
//! Values go to the standard output, everything else to the standard error.

mod cassandra;
mod compose;
mod fetch;
mod home;
mod interrupt;
mod kafka;
mod lease;
mod lock;
mod logs;
mod maven;
mod native;
mod ports;
mod postgres;
mod probe;
mod process;
mod programs;
mod record;
mod server;
mod status;
mod stop;
mod tail;
mod up;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};

pub(crate) use self::{interrupt::Interrupt, lease::Lease, lock::Lock, server::Server};
use self::{
    ports::Ports,
    programs::{JAVA, Java, require},
    record::{Engine, Places},
    status::Status,
    up::Wish,
};

/// What is to be done with the servers; without names it is done with all.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Brings servers up and prints the environment variables that tests read.
    #[command(after_help = "Examples:\n  \
        cargo xtask services up\n  \
        export $(cargo xtask services up kafka)   # then cargo test finds it\n  \
        cargo xtask services up --jit kafka       # before a benchmark")]
    Up(Up),
    /// Stops servers and removes their data.
    #[command(after_help = "Examples:\n  \
        cargo xtask services down\n  \
        cargo xtask services down --keep postgres   # its rows are there after the next up")]
    Down {
        /// Which servers.
        servers: Vec<Server>,
        /// Leaves their data, for the next `up`.
        #[arg(long)]
        keep: bool,
    },
    /// Prints what runs, where, since when and in how much memory.
    #[command(after_help = "Examples:\n  \
        cargo xtask services status\n  \
        cargo xtask services status --json | jq '.[].pid'")]
    Status {
        /// Which servers.
        servers: Vec<Server>,
        /// As JSON: an array with an object for each server that runs.
        #[arg(long)]
        json: bool,
    },
    /// Prints what a server has written.
    #[command(after_help = "Example: cargo xtask services logs kafka --follow")]
    Logs {
        /// Which server.
        server: Server,
        /// Goes on as the server writes more, until Ctrl-C.
        #[arg(long)]
        follow: bool,
    },
}

/// What is to be started, and how.
#[derive(clap::Args)]
pub(crate) struct Up {
    /// Which servers.
    servers: Vec<Server>,
    /// Lets Java compile fully, and gives Kafka more memory: for benchmarks.
    #[arg(long)]
    jit: bool,
    /// The first of the ports: Postgres is at +32, Cassandra at +42, Kafka at +92.
    #[arg(
        long,
        value_name = "FIRST",
        env = ports::VARIABLE,
        default_value_t = Ports::DEFAULT,
        value_parser = clap::value_parser!(u16).range(1024..=65_000),
    )]
    ports: u16,
    /// What runs them; unless it is said, Docker if an engine answers.
    #[arg(long)]
    engine: Option<Engine>,
    /// As JSON: an array with an object for each server, as `status` prints it.
    #[arg(long)]
    json: bool,
}

/// Does what is to be done.
///
/// # Errors
/// When a server cannot be fetched, started or stopped; says why and how to go on.
pub(crate) fn run(command: &Command) -> Result<()> {
    let places = Places::here();
    match command {
        Command::Up(wished) => up(&places, wished),
        Command::Down { servers, keep } => stop::down(&places, &or_all(servers), *keep),
        Command::Status { servers, json } => {
            let servers = or_all(servers).into_iter();
            let all: Vec<_> = servers
                .map(|server| (server, Status::of(&places, server)))
                .collect();
            if *json {
                let running: Vec<_> = all.into_iter().filter_map(|(_, status)| status).collect();
                print_json(&running)
            } else {
                print(&status::table(&all))
            }
        }
        Command::Logs { server, follow } => logs::print(&places, *server, *follow),
    }
}

/// What it takes to run a broker of one's own.
pub(crate) struct KafkaPrograms {
    /// The Java that runs it.
    pub(crate) java: PathBuf,
    /// The directory of its jars.
    pub(crate) jars: PathBuf,
}

impl KafkaPrograms {
    /// Returns where they are, fetched now if they are not there.
    ///
    /// # Errors
    /// When something is missing and cannot be had.
    pub(crate) fn fetch(interrupt: &Interrupt) -> Result<Self> {
        let jars = fetch::programs(Server::Kafka, interrupt)?;
        require(&[JAVA])?;
        let java = Java::find()?.path;
        Ok(Self { java, jars })
    }
}

fn up(places: &Places, wished: &Up) -> Result<()> {
    let servers = or_all(&wished.servers);
    let wish = Wish {
        engine: wished.engine,
        ports: Ports::from(wished.ports),
        elsewhere: false,
        jit: wished.jit,
        for_tests: false,
        interrupt: Interrupt::default(),
    };
    up::up(places, &servers, &wish)?;
    let servers = servers.iter();
    let running: Vec<Status> = servers
        .filter_map(|server| Status::of(places, *server))
        .collect();
    if wished.json {
        return print_json(&running);
    }
    let lines = running.iter().map(|status| status.assignment() + "\n");
    print(&lines.collect::<String>())
}

/// Each of the servers that were named, once; all if none was.
fn or_all(named: &[Server]) -> Vec<Server> {
    let all = Server::ALL.into_iter();
    all.filter(|server| named.is_empty() || named.contains(server))
        .collect()
}

fn print_json(running: &[Status]) -> Result<()> {
    let text = serde_json::to_string_pretty(running).context("cannot write JSON")?;
    print(&format!("{text}\n"))
}

/// Prints values; a reader that has gone wants no more of them.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot print")
        }
        _ => Ok(()),
    }
}

/// Tells what is going on; a terminal that has gone must not keep anything from being put away.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
