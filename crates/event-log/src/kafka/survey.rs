//! A look at a cluster from outside: which topics a log has there, whether they are as they have
//! to be, and where its lanes end.
//!
//! Nothing is made and nothing is changed: a look with the wrong prefix leaves no topics behind.

use std::sync::Arc;

use foldline_kernel::{Context, Topology};

use super::{
    KafkaLog, OpenError, Settings,
    client::Clients,
    ends,
    probe::Probes,
    shared::Shared,
    topics::{Cluster, Names, Shape, unavailable},
    topology,
};
use crate::{FollowError, Heads};

/// A topic of a log, as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name, with the log's prefix.
    pub name: String,
    /// The context whose events it holds; `None` for the topics that are the log's own.
    pub context: Option<Context>,
    /// How many partitions it has: as many as the log has lanes, or one.
    pub partitions: u16,
    /// What its configuration has to say, each value as Kafka's tools take it.
    pub configuration: Vec<(&'static str, String)>,
}

/// What was found of a log on a cluster.
#[derive(Debug)]
pub struct Survey {
    /// What the log is; `None` where there is none with this prefix.
    pub topology: Option<Topology>,
    /// Why this program cannot write the log, where it cannot: it is another program's, or knows
    /// contexts that this one lacks.
    pub trouble: Option<OpenError>,
    /// The log's topics, those of contexts first, each with what is wrong with it and what mends
    /// that; that one is not there is wrong where the log is.
    pub topics: Vec<(Topic, Option<OpenError>)>,
    /// Where each lane ends, lane by lane, in the topology's contexts; empty where there is no
    /// log, or a topic of it cannot be read.
    pub ends: Vec<Result<Heads, FollowError>>,
}

impl Settings {
    /// Returns the topics that a log of these settings and contexts has, those of contexts first.
    pub fn topics(&self, contexts: &[Context]) -> Vec<Topic> {
        let planned = plan(self, contexts, self.lanes).into_iter();
        planned.map(|planned| planned.topic()).collect()
    }
}

impl KafkaLog {
    /// Looks at the log of these settings as a program of these contexts would find it.
    ///
    /// # Errors
    /// When the cluster does not answer, or the topology record cannot be understood.
    pub async fn survey(settings: Settings, contexts: Vec<Context>) -> Result<Survey, OpenError> {
        settings.check()?;
        let settings = Arc::new(settings);
        let look = {
            let settings = Arc::clone(&settings);
            let runtime = tokio::runtime::Handle::current();
            move || look(&settings, contexts, runtime)
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.unwrap_or_else(|ended| Err(unavailable(&settings, "it was looked at", ended)))
    }
}

/// A topic and what it is for.
struct Planned {
    context: Option<Context>,
    shape: Shape,
}

impl Planned {
    fn topic(&self) -> Topic {
        Topic {
            name: self.shape.topic.to_string(),
            context: self.context.clone(),
            partitions: self.shape.partitions.try_into().unwrap_or(u16::MAX),
            configuration: self.shape.configuration(),
        }
    }
}

fn plan(settings: &Settings, contexts: &[Context], lanes: u16) -> Vec<Planned> {
    let names = Names::new(&settings.topic_prefix);
    let of_contexts = contexts.iter().map(|context| Planned {
        shape: Shape::events(names.context(context), lanes, settings.record_bytes_max()),
        context: Some(context.clone()),
    });
    let own = [
        Shape::compacted(names.lanes.clone(), lanes),
        Shape::compacted(names.snapshots.clone(), lanes),
        Shape::compacted(names.topology.clone(), 1),
    ];
    let own = own.into_iter().map(|shape| Planned {
        context: None,
        shape,
    });
    of_contexts.chain(own).collect()
}

/// Looks. It blocks.
fn look(
    settings: &Arc<Settings>,
    contexts: Vec<Context>,
    runtime: tokio::runtime::Handle,
) -> Result<Survey, OpenError> {
    let clients = Clients::new(Arc::clone(settings));
    let probes = Probes::new(clients.clone(), settings.request_timeout);
    let names = Names::new(&settings.topic_prefix);
    let admin = clients
        .admin()
        .map_err(|error| unavailable(settings, "a client was made", error))?;
    let cluster = Cluster {
        settings,
        admin: &admin,
        runtime,
    };
    let topology = match cluster.standing(std::slice::from_ref(&names.topology))?[..] {
        [true] => read(settings, &probes, &names)?,
        _ => None,
    };
    let lanes = topology
        .as_ref()
        .map_or(settings.lanes, |found| found.lanes);
    let trouble = topology
        .as_ref()
        .and_then(|found| topology::check(found, settings, &contexts).err());
    let planned = plan(settings, &all(contexts, topology.as_ref()), lanes);
    let topics = inspect(&cluster, planned, topology.is_some())?;
    let ends = match &topology {
        Some(topology) if readable(topology, &topics) => {
            let settings = Arc::clone(settings);
            let shared = Shared::new(settings, clients, probes, names, topology.clone());
            let lanes = topology.all_lanes();
            let end = |lane| ends::find(&shared, lane).map(|end| end.heads);
            lanes.map(end).collect()
        }
        _ => Vec::new(),
    };
    Ok(Survey {
        topology,
        trouble,
        topics,
        ends,
    })
}

fn read(
    settings: &Settings,
    probes: &Probes,
    names: &Names,
) -> Result<Option<Topology>, OpenError> {
    topology::read(probes, &names.topology)
        .map_err(|error| unavailable(settings, "its topology was read", error))?
        .map_err(|broken| broken.error(&names.topology, settings))
}

/// The log's contexts in its own order, then those that only the program has.
fn all(contexts: Vec<Context>, topology: Option<&Topology>) -> Vec<Context> {
    let mut all = topology.map_or_else(Vec::new, |found| found.contexts.clone());
    all.extend(
        contexts
            .into_iter()
            .filter(|context| topology.is_none_or(|found| found.index_of(context).is_none())),
    );
    all
}

/// Whether every topic that the log has events in is as it has to be.
fn readable(topology: &Topology, topics: &[(Topic, Option<OpenError>)]) -> bool {
    let of_log = |topic: &Topic| {
        let context = topic.context.as_ref();
        context.is_some_and(|context| topology.index_of(context).is_some())
    };
    topics
        .iter()
        .all(|(topic, trouble)| trouble.is_none() || !of_log(topic))
}

/// Compares each topic with what it has to be.
fn inspect(
    cluster: &Cluster<'_>,
    planned: Vec<Planned>,
    log_is_there: bool,
) -> Result<Vec<(Topic, Option<OpenError>)>, OpenError> {
    let names: Vec<_> = planned
        .iter()
        .map(|planned| Arc::clone(&planned.shape.topic))
        .collect();
    let standing = cluster.standing(&names)?;
    let mut topics = Vec::with_capacity(planned.len());
    for (planned, is_there) in planned.into_iter().zip(standing) {
        let topic = planned.topic();
        let trouble = if is_there {
            match cluster.check(&[planned.shape]) {
                Ok(()) => None,
                Err(found @ OpenError::Topic { .. }) => Some(found),
                Err(error) => return Err(error),
            }
        } else {
            log_is_there.then(|| missing(&topic))
        };
        topics.push((topic, trouble));
    }
    Ok(topics)
}

fn missing(topic: &Topic) -> OpenError {
    OpenError::Topic {
        topic: topic.name.clone(),
        trouble: "is not there".into(),
        remedy: "a node that has this context makes it, unless it once was there: then restore \
                 it from a backup or a mirror"
            .into(),
    }
}
