//! Who has which lane: the last record of each partition of the topic of the lanes, as it comes.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use foldline_kernel::Lane;
use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer as _};
use tokio::sync::watch;

use super::{
    client::{Consumer, Reading},
    lanes::Owner,
    probe::Found,
    shared::Shared,
};
use crate::{
    Source,
    spread::{LaneOwner, Owners},
};

/// How long one look for announcements waits.
const LOOK: Duration = Duration::from_millis(100);

/// Finds the owners as they stand, and follows them from there on, on a thread that ends with the
/// log. It blocks.
pub(crate) fn follow(shared: &Arc<Shared>) -> Result<watch::Receiver<Owners>, Source> {
    let partitions: Vec<_> = shared
        .topology
        .all_lanes()
        .map(|lane| shared.names.lane(lane))
        .collect();
    let (ends, last) = shared.probes.with(|probe| {
        let ends = probe.ends(&partitions)?;
        let places: Vec<_> = partitions
            .iter()
            .cloned()
            .zip(ends.iter().copied())
            .collect();
        let last = probe.last_before(&places)?;
        Ok((ends, last))
    })?;
    let owners: Vec<Option<LaneOwner>> = last
        .iter()
        .map(|found| found.as_ref().and_then(owner))
        .collect();
    let consumer = shared.clients.consumer(Reading::Tails, true)?;
    let mut assignment = TopicPartitionList::with_capacity(partitions.len());
    for (partition, end) in partitions.iter().zip(ends) {
        let at = Offset::Offset(end);
        assignment.add_partition_offset(&partition.topic, partition.number, at)?;
    }
    consumer.assign(&assignment)?;
    let (told, following) = watch::channel(Arc::new(owners));
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("foldline-owners".into())
        .spawn(move || run(&shared, &consumer, &told))?;
    Ok(following)
}

fn run(shared: &Weak<Shared>, consumer: &Consumer, told: &watch::Sender<Owners>) {
    while shared.strong_count() > 0 {
        match consumer.poll(LOOK) {
            None => {}
            Some(Ok(record)) => {
                let Ok(lane) = u16::try_from(record.partition()) else {
                    continue;
                };
                let found = Found {
                    offset: record.offset(),
                    value: bytes::Bytes::copy_from_slice(record.payload().unwrap_or_default()),
                };
                if let Some(owner) = owner(&found) {
                    tell(told, Lane(lane), owner);
                }
            }
            Some(Err(error)) => tracing::debug!(%error, "kafka owners"),
        }
    }
}

/// Notes an owner; a sign of life of one that is known already is no news.
fn tell(told: &watch::Sender<Owners>, lane: Lane, owner: LaneOwner) {
    told.send_if_modified(|owners| {
        let known = owners.get(lane.index());
        if known.is_none_or(|known| known.as_ref() == Some(&owner)) {
            return false;
        }
        Arc::make_mut(owners)[lane.index()] = Some(owner);
        true
    });
}

/// What is no announcement tells of no owner; whoever opens the lane says what is wrong with it.
fn owner(found: &Found) -> Option<LaneOwner> {
    let Owner { epoch, address, .. } = Owner::read(found).ok()?;
    Some(LaneOwner { epoch, address })
}
