//! Lanes over nodes: a consumer group on the topic of the lanes.
//!
//! The group's members read nothing; a partition that is assigned is a lane that is the member's.
//! The protocol is the classic one with the cooperative assignor: lanes that stay are not touched
//! by a change, and one that moves is given on only after its member has let it go.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use foldline_kernel::Lane;
use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};
use tokio::sync::{mpsc, watch};

use super::{KafkaLog, client, owners, shared::Shared};
use crate::{
    LaneSpread, Member, Membership, Source,
    spread::{Change, Owners, Revoked, SpreadError},
};

/// How long the group waits for a member to step down from lanes.
const STEP_DOWN_MAX: Duration = Duration::from_secs(20);

/// How many changes wait to be heard.
const CHANGES_MAX: usize = 64;

/// How long one listening to the group takes at most.
const LISTEN: Duration = Duration::from_millis(100);

/// How long leaving takes at most, beyond stepping down.
const LEAVE_MAX: Duration = Duration::from_secs(5);

#[async_trait]
impl LaneSpread for KafkaLog {
    async fn join(&self, membership: Membership) -> Result<Box<dyn Member>, SpreadError> {
        let group = format!("{}{}", self.shared.settings.topic_prefix, membership.group);
        let unavailable = |source: Source| SpreadError::Unavailable {
            group: group.clone(),
            source,
        };
        let (told, changes) = mpsc::channel(CHANGES_MAX);
        let leaving = Arc::new(AtomicBool::new(false));
        let joined = Joined {
            shared: Arc::clone(&self.shared),
            group: group.clone(),
            told,
            leaving: Arc::clone(&leaving),
        };
        let consumer = joined
            .consumer(membership.instance)
            .map_err(|error| unavailable(error.into()))?;
        std::thread::Builder::new()
            .name("foldline-group".into())
            .spawn(move || joined.run(consumer))
            .map_err(|error| unavailable(error.into()))?;
        Ok(Box::new(GroupMember {
            group,
            changes,
            leaving,
        }))
    }

    async fn owners(&self) -> Result<watch::Receiver<Owners>, SpreadError> {
        let shared = Arc::clone(&self.shared);
        let found = tokio::task::spawn_blocking(move || {
            let mut owners = shared.owners.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(owners) = owners
                .as_ref()
                .filter(|owners| owners.has_changed().is_ok())
            {
                return Ok(owners.clone());
            }
            let following = owners::follow(&shared)?;
            Ok(owners.insert(following).clone())
        });
        let found = found.await.unwrap_or_else(|ended| Err(ended.into()));
        found.map_err(|source| SpreadError::Unavailable {
            group: self.shared.names.lanes.to_string(),
            source,
        })
    }
}

struct GroupMember {
    group: String,
    changes: mpsc::Receiver<Result<Change, SpreadError>>,
    leaving: Arc<AtomicBool>,
}

#[async_trait]
impl Member for GroupMember {
    async fn next(&mut self) -> Result<Change, SpreadError> {
        self.changes.recv().await.unwrap_or_else(|| {
            Err(SpreadError::Unavailable {
                group: self.group.clone(),
                source: "this membership is over".into(),
            })
        })
    }

    fn leave(&mut self) {
        self.leaving.store(true, Ordering::Release);
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.leave();
    }
}

type Told = mpsc::Sender<Result<Change, SpreadError>>;

/// The thread that listens to the group.
struct Joined {
    shared: Arc<Shared>,
    group: String,
    told: Told,
    leaving: Arc<AtomicBool>,
}

impl Joined {
    fn consumer(&self, instance: Option<String>) -> KafkaResult<BaseConsumer<Rebalancing>> {
        let rebalancing = Rebalancing {
            told: self.told.clone(),
        };
        let clients = &self.shared.clients;
        let consumer = clients.member(&self.group, instance.as_deref(), rebalancing)?;
        consumer.subscribe(&[&self.shared.names.lanes])?;
        Ok(consumer)
    }

    fn run(self, consumer: BaseConsumer<Rebalancing>) {
        while !self.leaving.load(Ordering::Acquire) {
            if let Some(Err(error)) = consumer.poll(LISTEN)
                && let Some(error) = self.is_over(error)
            {
                let _ = self.told.blocking_send(Err(error));
                return;
            }
        }
        // Has the lanes revoked, which the next look serves.
        consumer.unsubscribe();
        let begun = Instant::now();
        let has_lanes = || consumer.assignment().is_ok_and(|lanes| lanes.count() > 0);
        while has_lanes() && begun.elapsed() < STEP_DOWN_MAX + LEAVE_MAX {
            consumer.poll(LISTEN);
        }
        // Says goodbye: the others need not wait for the end of this one's session.
        drop(consumer);
        let _ = self.told.blocking_send(Ok(Change::Left));
    }

    /// Tells whether an error ends the membership; the client mends the others by itself.
    fn is_over(&self, error: KafkaError) -> Option<SpreadError> {
        let group = self.group.clone();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::UnreleasedInstanceId) => {
                Some(SpreadError::Replaced { group })
            }
            Some(
                RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InvalidSessionTimeout
                | RDKafkaErrorCode::InconsistentGroupProtocol,
            ) => Some(SpreadError::Unavailable {
                group,
                source: error.into(),
            }),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                let source = error.into();
                Some(SpreadError::Unavailable { group, source })
            }
            _ => {
                tracing::debug!(%error, group, "kafka group");
                None
            }
        }
    }
}

/// Hears of changes from within the client, on the thread that listens.
pub(crate) struct Rebalancing {
    told: Told,
}

impl Rebalancing {
    fn tell(&self, change: Change) {
        // Nobody listens any more: then nobody has to step down.
        let _ = self.told.blocking_send(Ok(change));
    }

    /// Lets the member step down, and waits for it, before the group may go on.
    fn revoke(&self, lanes: Vec<Lane>) {
        let (stepped_down, waiting) = std_mpsc::channel();
        self.tell(Change::Revoked(Revoked {
            lanes: lanes.clone(),
            stepped_down: Some(stepped_down),
        }));
        // An end without a word is one, too.
        if let Err(std_mpsc::RecvTimeoutError::Timeout) = waiting.recv_timeout(STEP_DOWN_MAX) {
            tracing::warn!(?lanes, within = ?STEP_DOWN_MAX, "lanes are given on, nobody stepped down");
        }
    }
}

impl ClientContext for Rebalancing {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka group");
    }
}

impl ConsumerContext for Rebalancing {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let lanes = lanes_of(partitions);
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                // What lies in the partitions is read elsewhere.
                let assigned = consumer
                    .incremental_assign(partitions)
                    .and_then(|()| consumer.pause(partitions));
                self.tell(Change::Assigned(lanes));
                assigned
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                if consumer.assignment_lost() {
                    self.tell(Change::Lost(lanes));
                } else if !lanes.is_empty() {
                    self.revoke(lanes);
                }
                consumer.incremental_unassign(partitions)
            }
            _ => consumer.unassign(),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the group's decision was not taken over");
        }
    }
}

fn lanes_of(partitions: &TopicPartitionList) -> Vec<Lane> {
    let elements = partitions.elements();
    let numbers = elements.iter().map(|element| element.partition());
    let mut lanes: Vec<Lane> = numbers
        .filter_map(|n| n.try_into().ok().map(Lane))
        .collect();
    lanes.sort();
    lanes
}
