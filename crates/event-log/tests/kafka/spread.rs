//! Lanes over nodes: each lane has one member, and moves only once that one has stepped down.

use std::{collections::BTreeSet, time::Duration};

use foldline_event_log::{
    Announcement, Change, EventLog, LaneSpread, Member, Membership, SpreadError,
};
use foldline_kernel::{Epoch, Lane};

use crate::{
    LANE, contexts,
    ground::{Ground, TIMEOUT},
};

/// How long nothing may happen before it is taken for nothing at all.
const QUIET: Duration = Duration::from_secs(3);

fn membership() -> Membership {
    Membership {
        group: "command".into(),
        instance: None,
    }
}

async fn next(member: &mut dyn Member) -> Change {
    let change = tokio::time::timeout(TIMEOUT, member.next()).await;
    change.expect("a change in time").unwrap()
}

/// Lets a member take every change until it has so many lanes.
async fn until(member: &mut dyn Member, lanes: &mut BTreeSet<Lane>, count: usize) {
    while lanes.len() != count {
        match next(member).await {
            Change::Assigned(more) => lanes.extend(more),
            Change::Revoked(revoked) => {
                lanes.retain(|lane| !revoked.lanes.contains(lane));
                revoked.stepped_down();
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_lanes_and_hand_them_over() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let all: BTreeSet<Lane> = log.topology().all_lanes().collect();
    let mut first = log.join(membership()).await.unwrap();
    let mut of_first = BTreeSet::new();
    until(first.as_mut(), &mut of_first, 4).await;
    assert_eq!(of_first, all);

    let mut second = log.join(membership()).await.unwrap();
    let mut of_second = BTreeSet::new();
    // Lanes that move are revoked first; the other member waits for them.
    let Change::Revoked(revoked) = next(first.as_mut()).await else {
        panic!("half of the lanes go to the other member");
    };
    let early = tokio::time::timeout(QUIET, second.next()).await;
    let given = match &early {
        Ok(Ok(Change::Assigned(lanes))) => lanes.len(),
        Ok(other) => panic!("{other:?}"),
        Err(_) => 0,
    };
    assert_eq!(given, 0, "nobody has stepped down yet");
    of_first.retain(|lane| !revoked.lanes.contains(lane));
    revoked.stepped_down();
    until(second.as_mut(), &mut of_second, 2).await;
    until(first.as_mut(), &mut of_first, 2).await;
    assert_eq!(&of_first | &of_second, all);

    first.leave();
    loop {
        match next(first.as_mut()).await {
            Change::Revoked(revoked) => {
                assert_eq!(revoked.lanes, of_first.iter().copied().collect::<Vec<_>>());
                revoked.stepped_down();
            }
            Change::Left => break,
            // A change of the group that was on its way.
            Change::Assigned(lanes) if lanes.is_empty() => {}
            other => panic!("{other:?}"),
        }
    }
    until(second.as_mut(), &mut of_second, 4).await;
    assert_eq!(of_second, all);
    let over = first.next().await;
    assert!(matches!(over, Err(SpreadError::Unavailable { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_gone_leaves_its_lanes_to_the_others() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let mut first = log.join(membership()).await.unwrap();
    let mut lanes = BTreeSet::new();
    until(first.as_mut(), &mut lanes, 4).await;
    drop(first);
    let mut second = log.join(membership()).await.unwrap();
    let mut lanes = BTreeSet::new();
    until(second.as_mut(), &mut lanes, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_of_one_name_are_one_too_many() {
    let ground = Ground::new();
    let log = ground.open(&contexts()).await.unwrap();
    let named = || Membership {
        instance: Some("node-a".into()),
        ..membership()
    };
    let mut first = log.join(named()).await.unwrap();
    let mut lanes = BTreeSet::new();
    until(first.as_mut(), &mut lanes, 4).await;
    let mut second = log.join(named()).await.unwrap();
    let mut lanes = BTreeSet::new();
    until(second.as_mut(), &mut lanes, 4).await;
    let over = loop {
        match tokio::time::timeout(TIMEOUT, first.next()).await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(over, SpreadError::Replaced { .. }), "{over:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_known_by_what_they_announce() {
    let ground = Ground::new();
    let (one, two) = (
        ground.open(&contexts()).await.unwrap(),
        ground.open(&contexts()).await.unwrap(),
    );
    let at = |port: u16| Announcement {
        address: Some(format!("http://127.0.0.1:{port}")),
    };
    let _early = one.open_writer(Lane(2), at(1)).await.unwrap();
    let mut owners = two.owners().await.unwrap();
    {
        let now = owners.borrow_and_update();
        let known = now[2].as_ref().unwrap();
        assert_eq!(known.epoch, Epoch(1));
        assert_eq!(known.address.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(now.len(), 4);
        assert!(now[LANE.index()].is_none());
    }
    let mut writer = one.open_writer(LANE, at(1)).await.unwrap();
    writer.append(vec![]).await.unwrap();
    let _replaced = two.open_writer(LANE, at(2)).await.unwrap();
    let seen = owners.wait_for(|owners| {
        let owner = owners[LANE.index()].as_ref();
        owner.is_some_and(|owner| owner.epoch == Epoch(2))
    });
    let seen = tokio::time::timeout(TIMEOUT, seen).await;
    let seen = seen.expect("an announcement in time").unwrap();
    let owner = seen[LANE.index()].as_ref().unwrap();
    assert_eq!(owner.address.as_deref(), Some("http://127.0.0.1:2"));
}
