//! The law that followers may start anywhere, over random logs.

use std::sync::Arc;

use foldline_kernel::{Checkpoint, Context, LaneSequence, Sequence};
use foldline_schema::Event;
use proptest::{
    collection::vec,
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::{
    Harness, Site,
    given::{LANE, contexts, event, lane_sequences, opened, within},
};
use crate::{Announcement, EventLog, Follower, From};

/// How many random logs are tried; each is closed and opened again.
const CASES: u32 = 12;

/// A random log: appends of commands, each of some context with some events; then starts.
#[derive(Clone, Debug)]
struct Plan {
    appends: Vec<Vec<(usize, u16)>>,
    /// Places, as fractions of the log in 1/1000, with the most events per batch.
    starts: Vec<(u64, usize)>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let command = (0..contexts().len(), 1..4_u16);
    let appends = vec(vec(command, 1..6), 1..40);
    let starts = vec((0..=1000_u64, 1..50_usize), 1..6);
    (appends, starts).prop_map(|(appends, starts)| Plan { appends, starts })
}

/// From any place, followers of lanes and of contexts see exactly what lies after it.
pub async fn followers_start_anywhere(harness: &dyn Harness) {
    let runtime = tokio::runtime::Handle::current();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    tokio::task::block_in_place(|| {
        let outcome = TestRunner::new(config).run(&plans(), |plan| {
            runtime.block_on(try_plan(harness.site().as_ref(), &plan));
            Ok::<_, TestCaseError>(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    });
}

async fn try_plan(site: &dyn Site, plan: &Plan) {
    let written = {
        let log = opened(site).await;
        write(log.as_ref(), plan).await;
        let events = read(&log, None, From::Beginning, 17, u64::MAX).await;
        check_starts(&log, plan, &events).await;
        events
    };
    // Once more from storage, where nothing is in memory.
    let log = opened(site).await;
    let again = read(&log, None, From::Beginning, 5, u64::MAX).await;
    assert_eq!(records(&again), records(&written));
    check_starts(&log, plan, &written).await;
}

async fn write(log: &dyn EventLog, plan: &Plan) {
    let mut writer = log
        .open_writer(LANE, Announcement::default())
        .await
        .unwrap();
    for (n, commands) in plan.appends.iter().enumerate() {
        let mut batch = Vec::new();
        for (m, (context, of)) in commands.iter().enumerate() {
            let name = format!("{n}-{m}");
            let context = &contexts()[*context];
            let parts = (1..=*of).map(|part| (part, *of));
            batch.extend(parts.map(|part| event(log.topology(), LANE, context, &name, part)));
        }
        writer.append(batch).await.unwrap();
    }
}

async fn check_starts(log: &Arc<dyn EventLog>, plan: &Plan, events: &[Arc<Event>]) {
    for (thousandths, limit) in &plan.starts {
        let start = events.len() as u64 * thousandths / 1000;
        let mut checkpoint = Checkpoint::beginning(log.topology().log_id, LANE);
        for event in &events[..start as usize] {
            checkpoint.advance(&event.context, event.sequence, event.lane_sequence);
        }
        let rest = &events[start as usize..];
        let after = From::After(checkpoint.clone());
        let at = From::LaneSequence(LaneSequence(start + 1));
        for from in [after.clone(), at.clone()] {
            let seen = read(log, None, from, *limit, rest.len() as u64).await;
            assert_eq!(records(&seen), records(rest));
        }
        for context in contexts() {
            let of_context: Vec<_> = rest
                .iter()
                .filter(|event| event.context == context)
                .cloned()
                .collect();
            let sequence = From::Sequence(Sequence(checkpoint.sequence(&context).0 + 1));
            for from in [after.clone(), at.clone(), sequence] {
                let wanted = of_context.len() as u64;
                let seen = read(log, Some(&context), from, *limit, wanted).await;
                assert_eq!(lane_sequences(&seen), lane_sequences(&of_context));
                assert_eq!(records(&seen), records(&of_context));
            }
        }
    }
}

/// Reads so many events from a place, or up to the tail; checkpoints must follow the events.
async fn read(
    log: &Arc<dyn EventLog>,
    context: Option<&Context>,
    from: From,
    limit: usize,
    wanted: u64,
) -> Vec<Arc<Event>> {
    let mut follower: Box<dyn Follower> = match context {
        None => log.follow_lane(LANE, from).await.unwrap(),
        Some(context) => log.follow(context, LANE, from).await.unwrap(),
    };
    let mut events: Vec<Arc<Event>> = Vec::new();
    let wanted = wanted.min(follower.heads().lane_sequence.0);
    while (events.len() as u64) < wanted {
        let batch = within("the next batch", follower.next_batch(limit))
            .await
            .unwrap();
        assert!(!batch.is_empty() && batch.len() <= limit);
        events.extend(batch);
        let (checkpoint, last) = (follower.checkpoint(), events.last().unwrap());
        assert_eq!(checkpoint.lane_sequence, last.lane_sequence);
        assert_eq!(checkpoint.sequence(&last.context), last.sequence);
    }
    events
}

fn records(events: &[Arc<Event>]) -> Vec<&[u8]> {
    events.iter().map(|event| event.record.as_ref()).collect()
}
