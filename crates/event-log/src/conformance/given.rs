//! What the laws start from: contexts, users of a lane, commands, and reading with a bound.

use std::{future::Future, sync::Arc, time::Duration};

use foldline_kernel::{
    CommandId, Context, EventId, Lane, LaneSequence, Sequence, Timestamp, Topology, UserId, Version,
};
use foldline_schema::{CommandPart, Event, NewEvent, command_hash};
use uuid::Uuid;

use super::Site;
use crate::{Announcement, EventLog, FollowError, Follower, From};

/// How long anything may take before the law fails and says what it saw.
const WAIT_MAX: Duration = Duration::from_secs(20);

pub(super) const LANE: Lane = Lane(1);
pub(super) const OTHER_LANE: Lane = Lane(2);

pub(super) fn context(name: &str) -> Context {
    name.parse().expect("the names of this suite are contexts")
}

pub(super) fn orders() -> Context {
    context("orders")
}

pub(super) fn payments() -> Context {
    context("payments")
}

pub(super) fn contexts() -> Vec<Context> {
    vec![orders(), payments(), context("reviews")]
}

/// Opens the log of a site with the suite's contexts.
pub(super) async fn opened(site: &dyn Site) -> Arc<dyn EventLog> {
    match site.open(&contexts()).await {
        Ok(log) => log,
        Err(error) => panic!("the log does not open: {error}: {error:?}"),
    }
}

/// Waits for something that must come, with a bound.
#[track_caller]
pub(super) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let (what, at) = (what.to_owned(), std::panic::Location::caller());
    async move {
        match tokio::time::timeout(WAIT_MAX, future).await {
            Ok(value) => value,
            Err(_) => panic!("{at}: {what} did not come within {WAIT_MAX:?}"),
        }
    }
}

/// Makes one event of a command, for a user of the lane.
pub fn event(
    topology: &Topology,
    lane: Lane,
    context: &Context,
    command: &str,
    (part, of): (u16, u16),
) -> NewEvent {
    NewEvent {
        id: EventId(Uuid::new_v4()),
        type_name: "thing.done.v1".into(),
        context: context.clone(),
        subject: user(topology, lane),
        time: Timestamp::from_micros(1_500_000_000_000_000).expect("a time in 2017 is a time"),
        stream_version: Version(1),
        command_id: command_id(command),
        command_hash: command_hash(context, "do", command.as_bytes()),
        command_part: CommandPart { part, of },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: serde_json::Map::new(),
        data: format!(r#"{{"command":"{command}","part":{part}}}"#).into(),
    }
}

/// Makes the events of one command per name, one event each.
pub fn commands(
    topology: &Topology,
    lane: Lane,
    context: &Context,
    names: impl IntoIterator<Item = impl AsRef<str>>,
) -> Vec<NewEvent> {
    names
        .into_iter()
        .map(|name| event(topology, lane, context, name.as_ref(), (1, 1)))
        .collect()
}

pub(super) fn command_id(command: &str) -> CommandId {
    command.parse().expect("the suite's keys are visible ASCII")
}

fn user(topology: &Topology, lane: Lane) -> UserId {
    (1..)
        .map(|n| UserId(Uuid::from_u128(n)))
        .find(|user| topology.lane_of(*user) == lane)
        .expect("every lane has users")
}

/// Appends to a lane by a writer of its own.
pub(super) async fn append(log: &dyn EventLog, lane: Lane, batch: Vec<NewEvent>) {
    let mut writer = log
        .open_writer(lane, Announcement::default())
        .await
        .expect("the lane opens");
    writer.append(batch).await.expect("the log appends");
}

/// Reads a lane from its beginning to its end.
pub(super) async fn read_lane(log: &dyn EventLog, lane: Lane) -> Vec<Arc<Event>> {
    let mut follower = log
        .follow_lane(lane, From::Beginning)
        .await
        .expect("followed");
    read_to_tail(follower.as_mut())
        .await
        .expect("the lane reads")
}

/// Reads one context of a lane from its beginning to its end.
pub(super) async fn read_context(
    log: &dyn EventLog,
    context: &Context,
    lane: Lane,
) -> Result<Vec<Arc<Event>>, FollowError> {
    let mut follower = log.follow(context, lane, From::Beginning).await?;
    let index = log.topology().index_of(context).expect("a known context");
    let last = follower.heads().sequences[index];
    let mut events = Vec::new();
    while follower.checkpoint().sequence(context) < last {
        events.extend(within("an event of the context", follower.next_batch(3)).await?);
    }
    Ok(events)
}

/// Reads a lane's follower to the end as it stands now.
pub(super) async fn read_to_tail(
    follower: &mut dyn Follower,
) -> Result<Vec<Arc<Event>>, FollowError> {
    let mut events = Vec::new();
    while follower.checkpoint().lane_sequence < follower.heads().lane_sequence {
        events.extend(within("an event of the lane", follower.next_batch(7)).await?);
    }
    Ok(events)
}

/// Asserts that a follower has nothing to give now.
pub(super) async fn assert_waits(follower: &mut dyn Follower) {
    tokio::select! {
        biased;
        early = follower.next_batch(1) => panic!("yielded too early: {early:?}"),
        () = std::future::ready(()) => {}
    }
}

pub(super) fn ids(events: &[Arc<Event>]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event.command_id.as_str())
        .collect()
}

pub(super) fn lane_sequences(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|event| event.lane_sequence.0).collect()
}

pub(super) fn sequences(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|event| event.sequence.0).collect()
}

pub(super) fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<Sequence> {
    numbers.into_iter().map(Sequence).collect()
}

pub(super) const fn at(lane_sequence: u64) -> LaneSequence {
    LaneSequence(lane_sequence)
}
