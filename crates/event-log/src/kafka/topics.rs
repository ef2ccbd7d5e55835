//! The topics of a log: their names, how they have to be, and what mends one that is not.

use std::{collections::BTreeMap, sync::Arc, time::Duration, time::Instant};

use foldline_kernel::{Context, Lane};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::runtime::Handle;

use super::{OpenError, Settings, client::Logging, probe::Partition};
use crate::Source;

/// The topics beside those of contexts; a context cannot have one of these names.
const OWN: [&str; 3] = ["lanes", "snapshots", "topology"];

/// How long a topic that was made is waited for between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// How many copies a topic gets where there are brokers enough.
const COPIES: usize = 3;

/// The names of a log's topics.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
    pub(crate) lanes: Arc<str>,
    pub(crate) snapshots: Arc<str>,
    pub(crate) topology: Arc<str>,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        let own = |name: &str| -> Arc<str> { format!("{prefix}{name}").into() };
        Self {
            prefix: prefix.to_owned(),
            lanes: own(OWN[0]),
            snapshots: own(OWN[1]),
            topology: own(OWN[2]),
        }
    }

    pub(crate) fn context(&self, context: &Context) -> Arc<str> {
        format!("{}{context}", self.prefix).into()
    }

    pub(crate) fn lane(&self, lane: Lane) -> Partition {
        partition(&self.lanes, lane)
    }
}

/// Partition i of a topic is that of lane i.
pub(crate) fn partition(topic: &Arc<str>, lane: Lane) -> Partition {
    Partition {
        topic: Arc::clone(topic),
        number: i32::from(lane.0),
    }
}

/// Refuses contexts whose topics would be the log's own.
pub(crate) fn check_names(contexts: &[Context]) -> Result<(), OpenError> {
    match contexts
        .iter()
        .find(|context| OWN.contains(&context.as_str()))
    {
        Some(context) => Err(OpenError::ReservedContext(context.clone())),
        None => Ok(()),
    }
}

/// How a topic has to be.
pub(crate) struct Shape {
    pub(crate) topic: Arc<str>,
    pub(crate) partitions: i32,
    config: Vec<(&'static str, Rule)>,
}

/// What a topic's configuration has to say.
#[derive(Clone, Copy)]
enum Rule {
    Is(&'static str),
    AtLeast(u64),
    /// What a topic that is made gets; another value is no trouble.
    Usual(&'static str),
}

impl Shape {
    /// Events are kept for ever: never compacted, never too old, never too many.
    pub(crate) fn events(topic: Arc<str>, lanes: u16, record_bytes_max: u64) -> Self {
        Self {
            topic,
            partitions: i32::from(lanes),
            config: vec![
                ("cleanup.policy", Rule::Is("delete")),
                ("retention.ms", Rule::Is("-1")),
                ("retention.bytes", Rule::Is("-1")),
                ("unclean.leader.election.enable", Rule::Is("false")),
                ("max.message.bytes", Rule::AtLeast(record_bytes_max)),
            ],
        }
    }

    /// The last record of each key is kept for ever.
    pub(crate) fn compacted(topic: Arc<str>, partitions: u16) -> Self {
        Self {
            topic,
            partitions: i32::from(partitions),
            config: vec![
                ("cleanup.policy", Rule::Is("compact")),
                ("unclean.leader.election.enable", Rule::Is("false")),
                // Only segments that are full are compacted.
                ("segment.bytes", Rule::Usual("33554432")),
            ],
        }
    }

    /// What a topic of this shape that is made gets.
    pub(crate) fn configuration(&self) -> Vec<(&'static str, String)> {
        let rules = self.config.iter();
        rules.map(|(name, rule)| (*name, rule.value())).collect()
    }

    fn rules(&self, copies: usize) -> impl Iterator<Item = (&'static str, Rule)> {
        // With three copies one may be away and nothing that was acknowledged is lost with it.
        let in_sync = (copies >= COPIES).then_some(("min.insync.replicas", Rule::AtLeast(2)));
        self.config.iter().copied().chain(in_sync)
    }
}

impl Rule {
    fn value(self) -> String {
        match self {
            Self::Is(value) | Self::Usual(value) => value.to_owned(),
            Self::AtLeast(least) => least.to_string(),
        }
    }

    fn holds(self, found: &str) -> bool {
        match self {
            Self::Is(value) => found == value,
            Self::AtLeast(least) => found.parse::<u64>().is_ok_and(|found| found >= least),
            Self::Usual(_) => true,
        }
    }
}

/// The cluster, as far as topics are concerned. Everything here blocks.
pub(crate) struct Cluster<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) admin: &'a AdminClient<Logging>,
    pub(crate) runtime: Handle,
}

/// What is known of a topic that is there.
struct Standing {
    partitions: usize,
    with_leader: usize,
    copies: usize,
}

impl Cluster<'_> {
    /// Tells which of the topics are there.
    pub(crate) fn standing(&self, topics: &[Arc<str>]) -> Result<Vec<bool>, OpenError> {
        let (standing, _) = self.look()?;
        Ok(topics
            .iter()
            .map(|topic| standing.contains_key(topic.as_ref()))
            .collect())
    }

    /// Makes the topics that are not there, and checks all of them. Another process may be making
    /// the same ones.
    pub(crate) fn ensure(&self, shapes: &[Shape]) -> Result<(), OpenError> {
        let (standing, brokers) = self.look()?;
        let missing: Vec<&Shape> = shapes
            .iter()
            .filter(|shape| !standing.contains_key(shape.topic.as_ref()))
            .collect();
        if !missing.is_empty() {
            self.make(&missing, brokers)?;
        }
        self.check(shapes)
    }

    /// Checks that topics are there and as they have to be.
    pub(crate) fn check(&self, shapes: &[Shape]) -> Result<(), OpenError> {
        if shapes.is_empty() {
            return Ok(());
        }
        let standing = self.wait_for(shapes)?;
        for shape in shapes {
            let found = &standing[shape.topic.as_ref()];
            if found.partitions != shape.partitions as usize {
                return Err(self.wrong_partitions(shape, found.partitions));
            }
        }
        self.check_config(shapes, &standing)
    }

    fn make(&self, missing: &[&Shape], brokers: usize) -> Result<(), OpenError> {
        let copies = self
            .settings
            .replication
            .map_or(brokers.clamp(1, COPIES), usize::from);
        let config: Vec<Vec<(&str, String)>> = missing
            .iter()
            .map(|shape| {
                let rules = shape.rules(copies);
                rules.map(|(name, rule)| (name, rule.value())).collect()
            })
            .collect();
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&config)
            .map(|(shape, config)| {
                let copies = TopicReplication::Fixed(i32::try_from(copies).unwrap_or(i32::MAX));
                let new = NewTopic::new(&shape.topic, shape.partitions, copies);
                config
                    .iter()
                    .fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let making = self.admin.create_topics(&new, &self.options());
        let made = self
            .runtime
            .block_on(making)
            .map_err(|error| self.unavailable("topics were to be made", error))?;
        for outcome in made {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    let doing = format!("the topic `{topic}` was to be made");
                    return Err(self.unavailable(&doing, code));
                }
            }
        }
        Ok(())
    }

    /// Waits until every topic is there and every partition has a leader.
    fn wait_for(&self, shapes: &[Shape]) -> Result<BTreeMap<String, Standing>, OpenError> {
        let deadline = Instant::now() + self.settings.request_timeout;
        loop {
            let (standing, _) = self.look()?;
            let lacking = shapes.iter().find(|shape| {
                let found = standing.get(shape.topic.as_ref());
                found.is_none_or(|found| found.with_leader < found.partitions)
            });
            match lacking {
                None => return Ok(standing),
                Some(shape) if Instant::now() > deadline => {
                    let doing = format!("the topic `{}` was waited for", shape.topic);
                    return Err(self.unavailable(&doing, "it has partitions without a leader"));
                }
                Some(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Looks at all topics, since asking for one by name may make it.
    fn look(&self) -> Result<(BTreeMap<String, Standing>, usize), OpenError> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(None, self.settings.request_timeout)
            .map_err(|error| self.unavailable("the brokers were asked for topics", error))?;
        let standing = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(|topic| {
                let partitions = topic.partitions();
                let copies = partitions.iter().map(|one| one.replicas().len()).min();
                let standing = Standing {
                    partitions: partitions.len(),
                    with_leader: partitions.iter().filter(|one| one.leader() >= 0).count(),
                    copies: copies.unwrap_or_default(),
                };
                (topic.name().to_owned(), standing)
            })
            .collect();
        Ok((standing, metadata.brokers().len()))
    }

    fn check_config(
        &self,
        shapes: &[Shape],
        standing: &BTreeMap<String, Standing>,
    ) -> Result<(), OpenError> {
        let asked: Vec<_> = shapes
            .iter()
            .map(|shape| ResourceSpecifier::Topic(&shape.topic))
            .collect();
        // Asking is no operation that takes time at the brokers, and takes no time limit for one.
        let options = AdminOptions::new().request_timeout(Some(self.settings.request_timeout));
        let asking = self.admin.describe_configs(&asked, &options);
        let doing = "the topics' configuration was asked for";
        let told = self
            .runtime
            .block_on(asking)
            .map_err(|error| self.unavailable(doing, error))?;
        for (shape, told) in shapes.iter().zip(told) {
            let told = told.map_err(|error| self.unavailable(doing, error))?;
            let copies = standing[shape.topic.as_ref()].copies;
            for (name, rule) in shape.rules(copies) {
                let found = told.get(name).and_then(|entry| entry.value.as_deref());
                if let Some(found) = found
                    && !rule.holds(found)
                {
                    return Err(self.wrong_config(shape, name, rule, found));
                }
            }
        }
        Ok(())
    }

    fn wrong_config(&self, shape: &Shape, name: &str, rule: Rule, found: &str) -> OpenError {
        let (topic, brokers, value) = (&shape.topic, &self.settings.brokers, rule.value());
        let wanted = match rule {
            Rule::AtLeast(_) => format!("at least {value}"),
            Rule::Is(_) | Rule::Usual(_) => value.clone(),
        };
        OpenError::Topic {
            topic: topic.to_string(),
            trouble: format!("has {name}={found}, and has to have {wanted}"),
            remedy: format!(
                "run `kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics \
                 --entity-name {topic} --add-config {name}={value}`"
            ),
        }
    }

    fn wrong_partitions(&self, shape: &Shape, found: usize) -> OpenError {
        let (topic, brokers) = (&shape.topic, &self.settings.brokers);
        let wanted = shape.partitions;
        let remedy = if found < wanted as usize {
            format!(
                "run `kafka-topics.sh --bootstrap-server {brokers} --alter --topic {topic} \
                 --partitions {wanted}`"
            )
        } else {
            format!(
                "partitions cannot be taken away: give the log another topic prefix, or, if the \
                 topic is not this log's, run `kafka-topics.sh --bootstrap-server {brokers} \
                 --delete --topic {topic}`"
            )
        };
        let plural = if found == 1 {
            "partition"
        } else {
            "partitions"
        };
        OpenError::Topic {
            topic: topic.to_string(),
            trouble: format!("has {found} {plural}, and has to have {wanted}"),
            remedy,
        }
    }

    fn options(&self) -> AdminOptions {
        let timeout = Some(self.settings.request_timeout);
        AdminOptions::new()
            .request_timeout(timeout)
            .operation_timeout(timeout)
    }

    pub(crate) fn unavailable(&self, doing: &str, source: impl Into<Source>) -> OpenError {
        unavailable(self.settings, doing, source)
    }
}

/// Names the property that librdkafka does not take, if it is that.
pub(crate) fn no_client(settings: &Settings, error: KafkaError) -> OpenError {
    match error {
        KafkaError::ClientConfig(_, reason, property, _) => OpenError::Property {
            property,
            reason: format!("librdkafka says: {reason}"),
        },
        error => unavailable(settings, "a client was made", error),
    }
}

pub(crate) fn unavailable(
    settings: &Settings,
    doing: &str,
    source: impl Into<Source>,
) -> OpenError {
    OpenError::Unavailable {
        prefix: settings.topic_prefix.clone(),
        brokers: settings.brokers.clone(),
        doing: doing.to_owned(),
        source: source.into(),
    }
}
