//! Laws of damage: it is told where it lies, and what lies before it is still given.

use foldline_kernel::LaneSequence;

use super::{
    Damage, Harness, Site,
    given::{
        LANE, append, at, commands, event, ids, opened, orders, payments, read_context,
        read_to_tail,
    },
};
use crate::{Corruption, EventLog, FollowError, From, Place};

/// A record whose bytes have changed stops its partition where it lies: by its checksum, or, where
/// somebody has written it so, because it is no event.
pub async fn a_damaged_record_is_told_where_it_lies(harness: &dyn Harness) {
    let site = harness.site();
    mixed(site.as_ref()).await;
    if !site.damage(Damage::Flip(LANE, at(3))).await {
        return;
    }
    let log = opened(site.as_ref()).await;
    let (before, place, corruption) = stopped(log.as_ref()).await;
    assert_eq!(before, ["o1", "p1"]);
    assert_eq!(lane_sequence(&place), at(3));
    assert!(
        matches!(corruption, Corruption::Record(_) | Corruption::Envelope(_)),
        "{corruption:?}"
    );

    let refused = read_context(log.as_ref(), &orders(), LANE)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, FollowError::Corrupt { .. }),
        "{refused:?}"
    );
}

/// A record that is gone is a gap, to the lane's follower and to that of its context.
pub async fn a_missing_record_is_told(harness: &dyn Harness) {
    let site = harness.site();
    mixed(site.as_ref()).await;
    if !site.damage(Damage::Remove(LANE, at(3))).await {
        return;
    }
    let log = opened(site.as_ref()).await;
    let (before, place, corruption) = stopped(log.as_ref()).await;
    assert_eq!(before, ["o1", "p1"]);
    assert_eq!(lane_sequence(&place), at(3));
    assert!(
        matches!(corruption, Corruption::Sequence { .. }),
        "{corruption:?}"
    );

    let refused = read_context(log.as_ref(), &orders(), LANE)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, FollowError::Corrupt { .. }),
        "{refused:?}"
    );
    let payments = read_context(log.as_ref(), &payments(), LANE).await.unwrap();
    assert_eq!(
        ids(&payments),
        ["p1", "p2"],
        "another partition is not concerned"
    );
}

/// A command of which a part is missing is corrupt, at the end of the lane and within it.
pub async fn a_torn_command_is_told(harness: &dyn Harness) {
    for more in [false, true] {
        let site = harness.site();
        let topology = opened(site.as_ref()).await.topology().clone();
        mixed(site.as_ref()).await;
        let torn = event(&topology, LANE, &orders(), "torn", (1, 2));
        if !site.damage(Damage::Append(LANE, Box::new(torn))).await {
            return;
        }
        let log = opened(site.as_ref()).await;
        if more {
            append(
                log.as_ref(),
                LANE,
                commands(&topology, LANE, &orders(), ["next"]),
            )
            .await;
        }
        let (_, _, corruption) = stopped(log.as_ref()).await;
        let told = matches!(
            &corruption,
            Corruption::TornCommand { command_id, expected, .. }
                if command_id == "torn" && expected == "2/2"
        );
        assert!(told, "{corruption:?}");
        let refused = read_context(log.as_ref(), &orders(), LANE)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, FollowError::Corrupt { .. }),
            "{refused:?}"
        );
    }
}

/// Fills a lane with `o1 p1 o2 p2 o3` and closes the log.
async fn mixed(site: &dyn Site) {
    let log = opened(site).await;
    let topology = log.topology();
    let batch = [
        ("o1", orders()),
        ("p1", payments()),
        ("o2", orders()),
        ("p2", payments()),
    ]
    .into_iter()
    .chain([("o3", orders())])
    .map(|(name, context)| event(topology, LANE, &context, name, (1, 1)))
    .collect();
    append(log.as_ref(), LANE, batch).await;
}

/// Reads the lane until it stops: what came before, where, and why; and that it stays stopped.
async fn stopped(log: &dyn EventLog) -> (Vec<String>, Place, Corruption) {
    let mut follower = log.follow_lane(LANE, From::Beginning).await.unwrap();
    let mut before = Vec::new();
    let (place, corruption) = loop {
        match follower.next_batch(1).await {
            Ok(events) => before.extend(ids(&events).iter().map(ToString::to_string)),
            Err(FollowError::Corrupt {
                place, corruption, ..
            }) => break (place, corruption),
            Err(error) => panic!("stopped, but not as corrupt: {error:?}"),
        }
    };
    assert!(
        read_to_tail(follower.as_mut()).await.is_err() || follower.next_batch(1).await.is_err()
    );
    (before, place, corruption)
}

fn lane_sequence(place: &Place) -> LaneSequence {
    match place {
        Place::Position(_, at) | Place::LaneSequence(at) => *at,
        Place::Checkpoint(at) => at.lane_sequence,
        Place::Expected(_) | Place::End(_) => panic!("a lane's follower knows where: {place}"),
    }
}
