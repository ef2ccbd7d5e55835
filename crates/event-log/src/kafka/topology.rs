//! The topology record: what a log is, agreed upon by every process that opens it.
//!
//! ```text
//!   {prefix}topology   log 5f0e… lanes=64 │ context orders │ context payments │ log 9a11… │ …
//!                      └ the first one is the log           in their order     └ came too late
//! ```
//!
//! Each record has a key of its own, so that compaction takes none away. Who finds no log
//! proposes one and reads back: the first record of the topic is the truth, for everybody.

use foldline_kernel::{Context, LogId, Topology};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    OpenError, Settings,
    client::Clients,
    probe::{Found, Partition, Probes},
    topics::{Cluster, Names, Shape, partition, unavailable},
};
use crate::Source;

/// The format of the topology's records.
const FORMAT: u64 = 1;

/// One record of the topology topic. These names are on disk: they stay as they are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Entry {
    Log {
        format: u64,
        log_id: LogId,
        name: Context,
        lanes: u16,
    },
    Context {
        format: u64,
        context: Context,
    },
}

/// What any version's record says of itself.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// Finds the log, or makes it, and brings it to the program's contexts.
pub(crate) struct Opening<'a> {
    pub(crate) cluster: Cluster<'a>,
    pub(crate) clients: &'a Clients,
    pub(crate) probes: &'a Probes,
    pub(crate) names: &'a Names,
    pub(crate) contexts: &'a [Context],
    /// What a topic of events has to take at least.
    pub(crate) record_bytes_max: u64,
}

impl Opening<'_> {
    /// Agrees on the topology and sees to it that every topic is there and as it has to be.
    pub(crate) fn run(&self) -> Result<Topology, OpenError> {
        let topology_shape = Shape::compacted(self.names.topology.clone(), 1);
        self.cluster.ensure(&[topology_shape])?;
        let topology = match self.read()? {
            Some(topology) => topology,
            None => self.propose()?,
        };
        self.check(&topology)?;
        self.own_topics(&topology)?;
        let known: Vec<Shape> = self.shapes(&topology, &topology.contexts);
        self.no_topic_gone(&known)?;
        self.cluster.check(&known)?;
        self.add_contexts(topology)
    }

    fn read(&self) -> Result<Option<Topology>, OpenError> {
        read(self.probes, &self.names.topology)
            .map_err(|error| self.unavailable("its topology was read", error))?
            .map_err(|broken| broken.error(&self.names.topology, self.cluster.settings))
    }

    /// Writes what the settings say, and reads back what has become the truth.
    fn propose(&self) -> Result<Topology, OpenError> {
        let settings = self.cluster.settings;
        let log_id = LogId(Uuid::new_v4());
        let proposed = Topology::new(log_id, settings.name.clone(), settings.lanes, vec![])
            .map_err(|source| OpenError::Shape {
                prefix: settings.topic_prefix.clone(),
                source,
            })?;
        let entry = Entry::Log {
            format: FORMAT,
            log_id,
            name: proposed.name,
            lanes: proposed.lanes,
        };
        self.write(&[entry])?;
        self.read()?.ok_or_else(|| {
            self.unavailable("its topology was written", "it is not there to be read")
        })
    }

    fn check(&self, topology: &Topology) -> Result<(), OpenError> {
        check(topology, self.cluster.settings, self.contexts)
    }

    /// The epochs are in the topic of the lanes: once there is a context, somebody has opened
    /// lanes, and without that topic epochs would be given out twice.
    fn own_topics(&self, topology: &Topology) -> Result<(), OpenError> {
        let lanes = Shape::compacted(self.names.lanes.clone(), topology.lanes);
        let snapshots = Shape::compacted(self.names.snapshots.clone(), topology.lanes);
        if !topology.contexts.is_empty() {
            self.no_topic_gone(std::slice::from_ref(&lanes))?;
        }
        self.cluster.ensure(&[lanes, snapshots])
    }

    /// A context is in the topology only after its topic was made.
    fn no_topic_gone(&self, shapes: &[Shape]) -> Result<(), OpenError> {
        let topics: Vec<_> = shapes.iter().map(|shape| shape.topic.clone()).collect();
        let standing = self.cluster.standing(&topics)?;
        match topics.iter().zip(standing).find(|(_, is_there)| !is_there) {
            None => Ok(()),
            Some((topic, _)) => Err(OpenError::Topic {
                topic: topic.to_string(),
                trouble: "is gone, with what the log had in it".into(),
                remedy: "restore it from a backup or a mirror, or give the log another topic \
                         prefix"
                    .into(),
            }),
        }
    }

    /// Makes the topics of the contexts that the log has not had yet, then notes them down: in
    /// this order, so that a context that is noted down always has its topic.
    fn add_contexts(&self, topology: Topology) -> Result<Topology, OpenError> {
        let new: Vec<Context> = self
            .contexts
            .iter()
            .filter(|context| topology.index_of(context).is_none())
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(topology);
        }
        let shapes = self.shapes(&topology, &new);
        self.cluster.ensure(&shapes)?;
        self.nothing_in(&topology, &new)?;
        let entries: Vec<_> = new
            .into_iter()
            .map(|context| Entry::Context {
                format: FORMAT,
                context,
            })
            .collect();
        self.write(&entries)?;
        let topology = self
            .read()?
            .ok_or_else(|| self.unavailable("its contexts were added", "its topology is gone"))?;
        self.check(&topology)?;
        Ok(topology)
    }

    /// A topic with records that the topology knows nothing of is of something else.
    fn nothing_in(&self, topology: &Topology, contexts: &[Context]) -> Result<(), OpenError> {
        for context in contexts {
            let topic = self.names.context(context);
            let partitions: Vec<_> = topology
                .all_lanes()
                .map(|lane| partition(&topic, lane))
                .collect();
            let doing = format!("the topic `{topic}` was looked into");
            let ends = self
                .probes
                .with(|probe| probe.ends(&partitions))
                .map_err(|error| self.unavailable(&doing, error))?;
            if ends.iter().all(|end| *end == 0) {
                continue;
            }
            // Unless another process has just added the context, and written to it.
            let now = self.read()?;
            if now.is_none_or(|now| now.index_of(context).is_none()) {
                return Err(OpenError::Topic {
                    topic: topic.to_string(),
                    trouble: "has records that are not this log's".into(),
                    remedy: format!(
                        "give the log another topic prefix, or, if nobody needs them, run \
                         `kafka-topics.sh --bootstrap-server {} --delete --topic {topic}`",
                        self.cluster.settings.brokers
                    ),
                });
            }
        }
        Ok(())
    }

    fn shapes(&self, topology: &Topology, contexts: &[Context]) -> Vec<Shape> {
        let shape = |context| {
            let topic = self.names.context(context);
            Shape::events(topic, topology.lanes, self.record_bytes_max)
        };
        contexts.iter().map(shape).collect()
    }

    fn write(&self, entries: &[Entry]) -> Result<(), OpenError> {
        let doing = "its topology was written";
        let producer = self
            .clients
            .plain()
            .map_err(|error| self.unavailable(doing, error))?;
        for entry in entries {
            let key = Uuid::new_v4().to_string();
            let value = serde_json::to_vec(entry).expect("an entry is plain JSON");
            let record = BaseRecord::to(&self.names.topology)
                .partition(0)
                .key(&key)
                .payload(&value);
            producer
                .send(record)
                .map_err(|(error, _)| self.unavailable(doing, error))?;
        }
        producer
            .flush(self.cluster.settings.request_timeout)
            .map_err(|error| self.unavailable(doing, error))?;
        if producer.context().failed() > 0 {
            return Err(self.unavailable(doing, "a record was not delivered"));
        }
        Ok(())
    }

    fn unavailable(&self, doing: &str, source: impl Into<Source>) -> OpenError {
        unavailable(self.cluster.settings, doing, source)
    }
}

/// Refuses a log that a program of this name and these contexts cannot write.
pub(crate) fn check(
    topology: &Topology,
    settings: &Settings,
    contexts: &[Context],
) -> Result<(), OpenError> {
    let prefix = settings.topic_prefix.clone();
    if topology.name != settings.name {
        return Err(OpenError::OtherName {
            prefix,
            found: topology.name.clone(),
            wanted: settings.name.clone(),
        });
    }
    let missing = lacking(topology, contexts);
    if !missing.is_empty() {
        return Err(OpenError::MissingContexts { prefix, missing });
    }
    Ok(())
}

/// Returns the contexts of a log that a program does not have.
pub(crate) fn lacking(topology: &Topology, contexts: &[Context]) -> Vec<Context> {
    let unknown = |context: &&Context| !contexts.contains(context);
    topology.contexts.iter().filter(unknown).cloned().collect()
}

/// Why a topology topic could be read but not understood.
#[derive(Debug)]
pub(crate) enum Broken {
    Format(u64),
    Damaged(String),
}

impl Broken {
    pub(crate) fn error(self, topic: &str, settings: &Settings) -> OpenError {
        match self {
            Self::Format(found) => OpenError::Format {
                prefix: settings.topic_prefix.clone(),
                found,
                known: FORMAT,
            },
            Self::Damaged(trouble) => OpenError::Damaged {
                topic: topic.to_owned(),
                trouble,
            },
        }
    }
}

/// Reads the topology as it stands now. It blocks.
pub(crate) fn read(
    probes: &Probes,
    topic: &std::sync::Arc<str>,
) -> Result<Result<Option<Topology>, Broken>, Source> {
    let topology = Partition {
        topic: topic.clone(),
        number: 0,
    };
    let records = probes.with(|probe| probe.all(&topology))?;
    Ok(agreed(&records))
}

/// Makes of all records what everybody makes of them.
fn agreed(records: &[Found]) -> Result<Option<Topology>, Broken> {
    let mut log: Option<Topology> = None;
    let mut contexts: Vec<Context> = Vec::new();
    for record in records {
        match entry(record)? {
            Entry::Log {
                log_id,
                name,
                lanes,
                ..
            } if log.is_none() => {
                let topology = Topology::new(log_id, name, lanes, vec![]);
                log = Some(topology.map_err(|error| Broken::Damaged(error.to_string()))?);
            }
            Entry::Log { .. } => {}
            Entry::Context { context, .. } => {
                if !contexts.contains(&context) {
                    contexts.push(context);
                }
            }
        }
    }
    if log.is_none() && !contexts.is_empty() {
        return Err(Broken::Damaged("it has contexts, but no log".into()));
    }
    Ok(log.map(|log| Topology { contexts, ..log }))
}

fn entry(record: &Found) -> Result<Entry, Broken> {
    let damaged = |error: serde_json::Error| {
        Broken::Damaged(format!("the record at offset {}: {error}", record.offset))
    };
    let Format { format } = serde_json::from_slice(&record.value).map_err(damaged)?;
    if format != FORMAT {
        return Err(Broken::Format(format));
    }
    serde_json::from_slice(&record.value).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(values: &[&str]) -> Vec<Found> {
        let found = |(offset, value): (usize, &&str)| Found {
            offset: offset as i64,
            value: value.as_bytes().to_vec().into(),
        };
        values.iter().enumerate().map(found).collect()
    }

    const FIRST: &str = r#"{"kind":"log","format":1,"log_id":"00000000-0000-0000-0000-000000000001","name":"market","lanes":8}"#;
    const SECOND: &str = r#"{"kind":"log","format":1,"log_id":"00000000-0000-0000-0000-000000000002","name":"market","lanes":64}"#;
    const ORDERS: &str = r#"{"kind":"context","format":1,"context":"orders"}"#;
    const PAYMENTS: &str = r#"{"kind":"context","format":1,"context":"payments"}"#;

    #[test]
    fn the_first_log_is_the_log_and_a_context_counts_once() {
        assert_eq!(agreed(&[]).unwrap(), None);
        let all = records(&[FIRST, SECOND, ORDERS, PAYMENTS, ORDERS]);
        let topology = agreed(&all).unwrap().unwrap();
        assert_eq!(topology.lanes, 8);
        assert_eq!(topology.log_id, LogId(Uuid::from_u128(1)));
        let names: Vec<_> = topology.contexts.iter().map(Context::as_str).collect();
        assert_eq!(names, ["orders", "payments"]);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        assert!(matches!(
            agreed(&records(&[ORDERS])),
            Err(Broken::Damaged(_))
        ));
        assert!(matches!(agreed(&records(&["{"])), Err(Broken::Damaged(_))));
        let newer = r#"{"kind":"stars","format":2}"#;
        assert!(matches!(agreed(&records(&[newer])), Err(Broken::Format(2))));
    }
}
