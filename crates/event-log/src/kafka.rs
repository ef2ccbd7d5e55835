//! The log in the topics of an Apache Kafka cluster.
//!
//! ```text
//!   {prefix}orders      lane 0 │ lane 1 │ …    events: kept for ever, one partition per lane
//!   {prefix}payments    lane 0 │ lane 1 │ …
//!   {prefix}lanes       lane 0 │ lane 1 │ …    compacted: who writes the lane, by epoch
//!   {prefix}snapshots   lane 0 │ lane 1 │ …    compacted: states of users
//!   {prefix}topology    what the log is        compacted: id, lanes, contexts
//! ```
//!
//! An append is one transaction over the lane's partitions of all contexts, by the lane's one
//! transactional producer: whoever opens the next writer fences it, and nothing of it can become
//! visible afterwards. Readers see committed records only. Offsets have gaps (a marker after each
//! transaction), so they are cursors and never positions.
//!
//! Start reading at `kafka/writing.rs` for a writer's life, `kafka/transactions.rs` for what a
//! failure means, `kafka/stream.rs` for reading.

mod client;
mod commit;
mod cursor;
mod ends;
mod error;
mod feed;
mod follower;
mod lanes;
mod owners;
mod pace;
mod probe;
mod search;
mod settings;
mod shared;
mod snapshots;
mod source;
mod spread;
mod start;
mod stream;
mod survey;
mod tail;
mod topics;
mod topology;
mod transactions;
mod writer;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::{Context, Lane, Topology};

use self::{
    client::Clients,
    follower::KafkaFollower,
    probe::Probes,
    shared::Shared,
    topics::{Cluster, Names},
    topology::Opening,
    writer::KafkaWriter,
};
use crate::{
    Announcement, EventLog, FollowError, Follower, From, Heads, LaneWriter, OpenWriterError, batch,
};

pub use self::{
    commit::{CommitError, commit as commit_transaction},
    error::OpenError,
    settings::Settings,
    survey::{Survey, Topic},
};

/// The log on Kafka, open.
pub struct KafkaLog {
    shared: Arc<Shared>,
}

impl KafkaLog {
    /// Opens the log with the program's contexts, making its topics where there are none.
    ///
    /// # Errors
    /// [`OpenError`]; each says what to do about it.
    pub async fn open(settings: Settings, contexts: Vec<Context>) -> Result<Arc<Self>, OpenError> {
        settings.check()?;
        topics::check_names(&contexts)?;
        let settings = Arc::new(settings);
        let open = {
            let settings = Arc::clone(&settings);
            let runtime = tokio::runtime::Handle::current();
            move || open(settings, &contexts, runtime)
        };
        let shared = tokio::task::spawn_blocking(open)
            .await
            .unwrap_or_else(|ended| Err(topics::unavailable(&settings, "it was opened", ended)))?;
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
        }))
    }

    async fn start(
        &self,
        only: Option<usize>,
        lane: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError> {
        let find = move |shared: &Arc<Shared>| {
            let start = start::find(shared, only, lane, from)?;
            Ok(KafkaFollower::new(Arc::clone(shared), start))
        };
        let found = self.shared.look(lane, find).await;
        let follower = found.unwrap_or_else(|ended| Err(Shared::unavailable(lane, ended)))?;
        Ok(Box::new(follower))
    }
}

fn open(
    settings: Arc<Settings>,
    contexts: &[Context],
    runtime: tokio::runtime::Handle,
) -> Result<Shared, OpenError> {
    let clients = Clients::new(Arc::clone(&settings));
    let probes = Probes::new(clients.clone(), settings.request_timeout);
    let names = Names::new(&settings.topic_prefix);
    let admin = clients
        .admin()
        .map_err(|error| topics::no_client(&settings, error))?;
    let opening = Opening {
        cluster: Cluster {
            settings: &settings,
            admin: &admin,
            runtime,
        },
        clients: &clients,
        probes: &probes,
        names: &names,
        contexts,
        record_bytes_max: settings.record_bytes_max(),
    };
    let topology = opening.run()?;
    Ok(Shared::new(settings, clients, probes, names, topology))
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog")
            .field("brokers", &self.shared.settings.brokers)
            .field("topic_prefix", &self.shared.settings.topic_prefix)
            .field("topology", &self.shared.topology)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    fn topology(&self) -> &Topology {
        &self.shared.topology
    }

    async fn open_writer(
        &self,
        lane: Lane,
        announcement: Announcement,
    ) -> Result<Box<dyn LaneWriter>, OpenWriterError> {
        let unavailable = |source| OpenWriterError::Unavailable { lane, source };
        self.shared.check_lane(lane).map_err(unavailable)?;
        let opening = writing::start(Arc::clone(&self.shared), lane, announcement);
        let opened = opening
            .map_err(unavailable)?
            .await
            .map_err(|gone| unavailable(gone.into()))??;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(KafkaWriter::new(shared, lane, opened)))
    }

    async fn follow(
        &self,
        context: &Context,
        partition: Lane,
        from: From,
    ) -> Result<Box<dyn Follower>, FollowError> {
        let index = batch::index_of(&self.shared.topology, context)
            .map_err(|source| Shared::unavailable(partition, source))?;
        self.start(Some(index), partition, from).await
    }

    async fn follow_lane(&self, lane: Lane, from: From) -> Result<Box<dyn Follower>, FollowError> {
        self.start(None, lane, from).await
    }

    async fn heads(&self, lane: Lane) -> Result<Heads, FollowError> {
        let find = move |shared: &Arc<Shared>| {
            shared
                .check_lane(lane)
                .map_err(|source| Shared::unavailable(lane, source))?;
            ends::find(shared, lane)
        };
        let found = self.shared.look(lane, find).await;
        let end = found.unwrap_or_else(|ended| Err(Shared::unavailable(lane, ended)))?;
        Ok(end.heads)
    }
}
