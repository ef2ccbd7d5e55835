//! Laws of unknown outcomes: a later writer settles them by command id.

use std::sync::Arc;

use foldline_kernel::Context;

use super::{
    Harness,
    given::{LANE, commands, contexts, ids, opened, orders, read_lane},
};
use crate::{
    Announcement, AppendError, EventLog,
    faulty::{AppendFault, Faulty, Odds},
};

/// After an unknown outcome the next writer's tail tells whether the batch is there.
pub async fn an_unknown_outcome_is_settled_by_command_id(harness: &dyn Harness) {
    let site = harness.site();
    let (log, faults) = Faulty::new(opened(site.as_ref()).await);
    for (name, fault, is_there) in [
        ("lost", AppendFault::LostAnswer, true),
        ("nothing", AppendFault::UnknownNothing, false),
        ("fenced-after", AppendFault::Fenced { appended: true }, true),
        (
            "fenced-before",
            AppendFault::Fenced { appended: false },
            false,
        ),
    ] {
        let mut writer = log
            .open_writer(LANE, Announcement::default())
            .await
            .unwrap();
        faults.on_append(LANE, fault);
        let batch = commands(log.topology(), LANE, &orders(), [name]);
        let error = writer.append(batch).await.unwrap_err();
        assert!(
            matches!(
                error,
                AppendError::Unknown { .. } | AppendError::Fenced { .. }
            ),
            "{error:?}"
        );
        let again = writer.append(vec![]).await;
        assert!(
            again.is_err(),
            "a writer with an unknown outcome is not used again"
        );
        let next = log
            .open_writer(LANE, Announcement::default())
            .await
            .unwrap();
        let events = read_lane(&log, LANE).await;
        assert_eq!(events.len() as u64, next.heads().lane_sequence.0);
        assert_eq!(ids(&events).contains(&name), is_there, "{name}");
    }
}

/// With faults at random, whoever settles before it repeats appends everything exactly once.
pub async fn random_faults_lose_and_double_nothing(harness: &dyn Harness) {
    for seed in 0..4 {
        let site = harness.site();
        let (log, faults) = Faulty::new(opened(site.as_ref()).await);
        let log = Arc::new(log);
        faults.at_random(
            seed,
            Odds {
                lost_answer: 7,
                unknown_nothing: 7,
                fenced: 7,
                full: 7,
            },
        );
        let names: Vec<_> = (0..60).map(|n| n.to_string()).collect();
        for (name, context) in names.iter().zip(contexts().iter().cycle()) {
            append_once(log.as_ref(), context, name).await;
        }
        assert_eq!(
            ids(&read_lane(log.as_ref(), LANE).await),
            names,
            "seed {seed}"
        );
    }
}

/// Appends one command, repeating until it is known to be there.
async fn append_once(log: &dyn EventLog, context: &Context, name: &str) {
    loop {
        let mut writer = log
            .open_writer(LANE, Announcement::default())
            .await
            .unwrap();
        if ids(&read_lane(log, LANE).await).contains(&name) {
            return;
        }
        let batch = commands(log.topology(), LANE, context, [name]);
        if writer.append(batch).await.is_ok() {
            return;
        }
    }
}
