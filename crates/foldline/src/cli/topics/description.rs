//! What there is to say of a log's topics, with a cluster or without one.

use foldline_event_log::{
    FollowError, Heads,
    kafka::{OpenError, Settings, Survey, Topic},
};
use foldline_kernel::{Context, Lane, Position, Sequence, Topology};
use serde::Serialize;
use serde_json::{Map, Value};

use super::samples::{self, Sample};
use crate::Application;

/// What is printed; as JSON in this shape.
#[derive(Debug, Serialize)]
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) brokers: String,
    pub(super) prefix: String,
    /// Absent where no cluster was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<Log>,
    pub(super) topics: Vec<Described>,
    /// The topics that are for the log alone.
    pub(super) own_topics: Vec<Described>,
    pub(super) samples: Vec<Sample>,
}

/// What was found on the cluster.
#[derive(Debug, Serialize)]
pub(super) struct Log {
    /// Null where there is no log yet.
    pub(super) id: Option<String>,
    pub(super) troubles: Vec<String>,
}

/// A topic and what is in it.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<Context>,
    pub(super) partitions: u16,
    pub(super) configuration: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) types: Vec<Type>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<Found>,
}

/// What a look at a topic has found.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    /// What is wrong with it, and what mends that; null where it is as it should be.
    pub(super) trouble: Option<String>,
    /// How many events it holds; null for the log's own topics, and where it cannot be read.
    pub(super) events: Option<u64>,
    /// The last event of each partition that has one.
    pub(super) ends: Vec<Position>,
}

/// A stored type.
#[derive(Debug, Serialize)]
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) schema: String,
    /// Whether events of it are still appended; an older shape is only read.
    pub(super) current: bool,
    pub(super) description: String,
}

impl Description {
    /// Describes the topics as they have to be.
    pub(super) fn new(
        application: &Application,
        settings: &Settings,
        contexts: &[Context],
    ) -> Self {
        let mut description = Self {
            name: application.name(),
            brokers: settings.brokers.clone(),
            prefix: settings.topic_prefix.clone(),
            log: None,
            topics: Vec::new(),
            own_topics: Vec::new(),
            samples: Vec::new(),
        };
        let topics = settings.topics(contexts).into_iter();
        description.set(
            topics
                .map(|topic| Described::new(application, topic))
                .collect(),
        );
        description
    }

    /// Adds what a look at the cluster has found; the log that is there knows best how many
    /// lanes it has.
    pub(super) fn add(&mut self, application: &Application, survey: Survey) {
        let Survey {
            topology,
            trouble,
            topics,
            ends,
        } = survey;
        let mut troubles: Vec<_> = trouble.iter().map(OpenError::to_string).collect();
        let ends = Ends::new(topology.as_ref(), ends, &mut troubles);
        let topics = topics.into_iter().map(|(topic, trouble)| {
            let mut described = Described::new(application, topic);
            let found = ends.found(described.context.as_ref(), trouble);
            // Without a log there is nothing to be found of it, unless it stands in the way.
            let is_found = topology.is_some() || found.trouble.is_some();
            described.found = is_found.then_some(found);
            described
        });
        self.set(topics.collect());
        let id = topology.map(|topology| topology.log_id.to_string());
        self.log = Some(Log { id, troubles });
    }

    fn set(&mut self, topics: Vec<Described>) {
        (self.topics, self.own_topics) = topics
            .into_iter()
            .partition(|topic| topic.context.is_some());
        self.show_how_to_read();
    }

    fn show_how_to_read(&mut self) {
        let first = self.topics.first();
        let samples = first.map(|topic| samples::of(&self.brokers, &self.prefix, topic));
        self.samples = samples.unwrap_or_default();
    }

    /// Keeps what concerns one context.
    pub(super) fn narrow(&mut self, context: &Context) {
        self.topics
            .retain(|topic| topic.context.as_ref() == Some(context));
        self.own_topics.clear();
        self.show_how_to_read();
    }

    /// Whether nothing that was looked at is wrong.
    pub(super) fn is_well(&self) -> bool {
        let Some(log) = &self.log else { return true };
        let topics = self.topics.iter().chain(&self.own_topics);
        let mut found = topics.filter_map(|topic| topic.found.as_ref());
        log.id.is_some() && log.troubles.is_empty() && found.all(|found| found.trouble.is_none())
    }
}

impl Described {
    fn new(application: &Application, topic: Topic) -> Self {
        let configuration = topic.configuration.into_iter();
        let types = match &topic.context {
            Some(context) => types(application, context),
            None => Vec::new(),
        };
        Self {
            name: topic.name,
            context: topic.context,
            partitions: topic.partitions,
            configuration: configuration
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            types,
            found: None,
        }
    }
}

fn types(application: &Application, context: &Context) -> Vec<Type> {
    let types = application.contexts().catalog().types();
    types
        .filter(|stored| stored.context == *context)
        .map(|stored| Type {
            name: stored.name,
            schema: format!("schemas/{}.json", stored.name),
            current: stored.is_current(),
            description: stored.schema["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        })
        .collect()
}

/// Where the lanes end.
struct Ends<'a> {
    topology: Option<&'a Topology>,
    /// By lane; those that could not be found are not here, and then sums are not known.
    heads: Vec<(Lane, Heads)>,
    are_whole: bool,
}

impl<'a> Ends<'a> {
    fn new(
        topology: Option<&'a Topology>,
        ends: Vec<Result<Heads, FollowError>>,
        troubles: &mut Vec<String>,
    ) -> Self {
        let lanes = topology.map_or(0, |topology| usize::from(topology.lanes));
        let mut heads = Vec::with_capacity(lanes);
        for (lane, end) in (0..).map(Lane).zip(ends) {
            match end {
                Ok(end) => heads.push((lane, end)),
                Err(error) => troubles.push(format!("{:#}", anyhow::Error::new(error))),
            }
        }
        Self {
            topology,
            are_whole: heads.len() == lanes && lanes > 0,
            heads,
        }
    }

    fn found(&self, context: Option<&Context>, trouble: Option<OpenError>) -> Found {
        Found {
            trouble: trouble.map(|trouble| trouble.to_string()),
            events: context.and_then(|context| self.events(context)),
            ends: context.map_or_else(Vec::new, |context| self.positions(context)),
        }
    }

    fn sequences(&self, context: &Context) -> impl Iterator<Item = (Lane, Sequence)> {
        let index = self
            .topology
            .and_then(|topology| topology.index_of(context));
        let heads = self.heads.iter();
        heads.filter_map(move |(lane, heads)| Some((*lane, *heads.sequences.get(index?)?)))
    }

    fn events(&self, context: &Context) -> Option<u64> {
        let sum = self.sequences(context).map(|(_, last)| last.0).sum();
        self.are_whole.then_some(sum)
    }

    fn positions(&self, context: &Context) -> Vec<Position> {
        let with_events = self
            .sequences(context)
            .filter(|(_, last)| *last > Sequence::ZERO);
        with_events
            .map(|(partition, sequence)| Position {
                context: context.clone(),
                partition,
                sequence,
            })
            .collect()
    }
}
