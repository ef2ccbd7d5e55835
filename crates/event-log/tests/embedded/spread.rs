//! One process has all lanes, from the first moment to the last.

use foldline_event_log::{Change, EventLog, LaneSpread, Membership};
use foldline_kernel::Lane;
use tempfile::TempDir;

use crate::open;

#[tokio::test]
async fn the_only_member_has_every_lane_until_it_leaves() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), &["orders"]).unwrap();
    let all: Vec<Lane> = log.topology().all_lanes().collect();
    let mut member = log.join(Membership::default()).await.unwrap();
    let Change::Assigned(lanes) = member.next().await.unwrap() else {
        panic!("all lanes are assigned at once");
    };
    assert_eq!(lanes, all);
    member.leave();
    let Change::Revoked(revoked) = member.next().await.unwrap() else {
        panic!("all lanes are let go");
    };
    assert_eq!(revoked.lanes, all);
    revoked.stepped_down();
    assert!(matches!(member.next().await.unwrap(), Change::Left));
    let owners = log.owners().await.unwrap();
    assert!(owners.borrow().iter().all(Option::is_none));
}
