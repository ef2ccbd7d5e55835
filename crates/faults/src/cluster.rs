//! A small cluster on this machine: one broker, and nodes that reach it each by a way of its own.
//!
//! ```text
//!   command-1 ─▶ proxy ─┐
//!   command-2 ─▶ proxy ─┼─▶ broker ◀── checker
//!   projector-1 ▶ proxy ┘
//!        └─▶ tables ◀── query-1
//! ```

mod broker;
mod clock;
mod node;
mod ports;
mod process;
mod proxy;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use self::{
    broker::{Broker, Listeners},
    node::Place,
    proxy::Proxy,
};
pub use self::{
    node::{Node, PREFIX, Role, SESSION_TIMEOUT, TRANSACTION_TIMEOUT},
    proxy::Way,
};
use crate::settings::{Broken, Settings};

/// How long a node may take until it is ready, on a machine that is busy.
const READY_MAX: Duration = Duration::from_secs(60);
/// How often a node is asked whether it is ready.
const ASKED_EVERY: Duration = Duration::from_millis(25);
/// How long it may take to answer that.
const ANSWERED_MAX: Duration = Duration::from_secs(2);

/// A broker and nodes; all of them end with this value.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    broker: Broker,
    client: reqwest::Client,
}

impl Cluster {
    /// Starts everything, from nothing, and waits until it is ready.
    ///
    /// # Errors
    /// When something does not come up; with what it printed last.
    pub async fn start(settings: &Settings) -> Result<Self> {
        let _ = fs::remove_dir_all(&settings.directory);
        fs::create_dir_all(&settings.directory)?;
        let roles = roles(settings);
        let count = u16::try_from(roles.len()).context("too many nodes")?;
        let mut ports = ports::free(2 + 3 * count)?;
        let mut port = move || ports.next().expect("as many as were asked for");
        let listeners = Listeners {
            controller: port(),
            direct: port(),
            nodes: roles.iter().map(|_| (port(), port())).collect(),
        };
        let clock = clock::build(&settings.directory)?;
        let mut nodes = Vec::new();
        for ((name, role), ways) in roles.into_iter().zip(&listeners.nodes) {
            let place = place(settings, &name, role, port(), &clock);
            nodes.push(node(name, role, place, *ways).await?);
        }
        let mut cluster = Self {
            nodes,
            broker: Broker::prepare(settings, &listeners)?,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(ANSWERED_MAX)
                .build()?,
        };
        cluster.broker.start()?;
        cluster.broker.until_ready().await?;
        cluster.start_nodes().await?;
        Ok(cluster)
    }

    /// One after another by role: the first makes the topics, and queries want their tables.
    async fn start_nodes(&mut self) -> Result<()> {
        for number in 0..self.nodes.len() {
            self.nodes[number].start(None)?;
            if number == 0 || self.nodes[number].role != self.nodes[number - 1].role {
                self.until_ready(number).await?;
            }
        }
        self.until_all_ready().await
    }

    /// The nodes, in the order in which they were started.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One of them.
    pub fn node(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// The numbers of the nodes of a role.
    pub fn of_role(&self, role: Role) -> Vec<usize> {
        let numbers = 0..self.nodes.len();
        numbers.filter(|n| self.nodes[*n].role == role).collect()
    }

    /// Where the nodes of a role listen.
    pub fn urls(&self, role: Role) -> Vec<String> {
        let nodes = self.nodes.iter().filter(|node| node.role == role);
        nodes.map(|node| node.url.clone()).collect()
    }

    /// Where the broker is reached whatever befalls the nodes.
    pub fn broker(&self) -> String {
        self.broker.address().to_string()
    }

    /// Ends the broker at once.
    pub fn kill_broker(&mut self) {
        self.broker.kill();
    }

    /// Stops the broker where it stands.
    pub fn pause_broker(&self) {
        self.broker.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume_broker(&self) {
        self.broker.signal(Signal::CONT);
    }

    /// Starts the broker again, with the data that it left.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart_broker(&mut self) -> Result<()> {
        self.broker.start()?;
        self.broker.until_ready().await
    }

    /// Ends every node at once and starts it again: for going on where one did not come to itself.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn restart_nodes(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.kill();
        }
        self.start_nodes().await
    }

    /// Waits until every node is ready.
    ///
    /// # Errors
    /// When one is not in time, or has ended; with what it says and printed.
    pub async fn until_all_ready(&mut self) -> Result<()> {
        for number in 0..self.nodes.len() {
            self.until_ready(number).await?;
        }
        Ok(())
    }

    /// Waits until a node is ready.
    ///
    /// # Errors
    /// When it is not in time, or has ended.
    pub async fn until_ready(&mut self, number: usize) -> Result<()> {
        let began = Instant::now();
        let url = format!("{}/readyz", self.nodes[number].url);
        loop {
            let said = match self.client.get(&url).send().await {
                Ok(answer) if answer.status() == 200 => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            let node = &mut self.nodes[number];
            let (name, running) = (node.name.clone(), node.is_running());
            if !running {
                bail!("{name} has ended:\n{}", node.tail());
            }
            if began.elapsed() > READY_MAX {
                bail!(
                    "{name} is not ready after {READY_MAX:?}: {said}\n{}",
                    node.tail()
                );
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }
}

/// A node with its way to the broker, which is on the first of two ports and its proxy on the other.
async fn node(name: String, role: Role, mut place: Place, ways: (u16, u16)) -> Result<Node> {
    let (broker, proxy) = ways;
    if role == Role::Query {
        return Node::new(name, role, place, None);
    }
    let way = Proxy::start(proxy, ([127, 0, 0, 1], broker).into()).await?;
    place.broker = Some(proxy);
    Node::new(name, role, place, Some(way))
}

fn place(settings: &Settings, name: &str, role: Role, port: u16, clock: &Path) -> Place {
    let directory = settings.directory.join(name);
    Place {
        market: settings.market.clone(),
        data: match role {
            Role::Command => directory.join("data"),
            Role::Projector | Role::Query => settings.directory.join("views"),
        },
        directory,
        port,
        broker: None,
        lanes: settings.lanes,
        clock: clock.to_owned(),
        broken: settings.broken.map(Broken::failpoint),
    }
}

/// Every node's name and role.
fn roles(settings: &Settings) -> Vec<(String, Role)> {
    [
        (Role::Command, settings.commands),
        (Role::Projector, settings.projectors),
        (Role::Query, settings.queries),
    ]
    .into_iter()
    .flat_map(|(role, count)| (1..=count).map(move |n| (format!("{}-{n}", role.word()), role)))
    .collect()
}
