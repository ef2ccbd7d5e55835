//! Who may ask what, and about whom.

use foldline_kernel::{Caller, Right};

use super::kit::{self, ANN, BOB, Bed, Table, text, time, uuid};
use crate::{QueryError, Settings};

/// Ann has two orders and Bob one; an order id is used by both.
async fn orders() -> (Bed, Table, Table) {
    let (list, one) = (kit::orders(), kit::order());
    let bed = kit::bed(&[&list, &one], Settings::default()).await;
    let mut orders = kit::served(&bed, &list).await;
    let mut order = kit::served(&bed, &one).await;
    for (user, id) in [(1, 10), (1, 11), (2, 10)] {
        let placed = [(3, text("placed"))];
        orders
            .put(0, [uuid(user), time(id as i64), uuid(id)], &placed)
            .await;
        let status = text(&format!("of {user}"));
        order.put(0, [uuid(id), uuid(user)], &[(2, status)]).await;
    }
    (bed, orders, order)
}

const TEN: &str = "order_id=00000000-0000-0000-0000-00000000000a";

#[tokio::test]
async fn an_owner_sees_its_own_rows_and_nobody_elses() {
    let (bed, ..) = orders().await;
    let ann = || Caller::user(ANN);
    let mine = bed
        .ask_by(ann(), "orders_by_user", "mine", "")
        .await
        .unwrap();
    assert_eq!(mine.rows, 2);
    let named = format!("user_id={ANN}");
    let mine = bed
        .ask_by(ann(), "orders_by_user", "mine", &named)
        .await
        .unwrap();
    assert_eq!(mine.rows, 2);
    // The user is a hidden part of this key: one order id, two buyers.
    let order = bed.ask_by(ann(), "order", "by_id", TEN).await.unwrap();
    assert_eq!(kit::column(&order, "status"), ["of 1"]);
    let order = bed
        .ask_by(Caller::user(BOB), "order", "by_id", TEN)
        .await
        .unwrap();
    assert_eq!(kit::column(&order, "status"), ["of 2"]);
    let other = format!("{TEN}&user_id={BOB}");
    for (model, query, other) in [
        ("order", "by_id", other.as_str()),
        ("orders_by_user", "mine", &format!("user_id={BOB}")),
    ] {
        let refused = bed.ask_by(ann(), model, query, other).await;
        assert!(
            matches!(
                refused,
                Err(QueryError::NotAllowed {
                    of_another: true,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn staff_sees_everybody_and_may_name_one() {
    let (bed, ..) = orders().await;
    let order = bed.ask("order", "by_id", TEN).await.unwrap();
    assert_eq!(kit::column(&order, "status"), ["of 1", "of 2"]);
    let named = format!("{TEN}&user_id={BOB}");
    let order = bed.ask("order", "by_id", &named).await.unwrap();
    assert_eq!(kit::column(&order, "status"), ["of 2"]);
    let bobs = bed
        .ask("orders_by_user", "mine", &format!("user_id={BOB}"))
        .await;
    assert_eq!(bobs.unwrap().rows, 1);
    // A list has to be somebody's: without a name it is that of the member of staff, if any.
    let whose = bed.ask("orders_by_user", "mine", "").await;
    assert!(
        matches!(whose, Err(QueryError::MissingParameter { .. })),
        "{whose:?}"
    );
    let staff = Caller::user(BOB).with(Right::Staff);
    let own = bed
        .ask_by(staff, "orders_by_user", "mine", "")
        .await
        .unwrap();
    assert_eq!(own.rows, 1);
}

#[tokio::test]
async fn what_is_for_staff_is_for_nobody_else() {
    let (bed, ..) = orders().await;
    let all = bed
        .ask("orders_by_user", "by_status", "status=placed")
        .await;
    assert_eq!(all.unwrap().rows, 3);
    let refused = bed
        .ask_by(
            Caller::user(ANN),
            "orders_by_user",
            "by_status",
            "status=placed",
        )
        .await;
    assert!(
        matches!(
            refused,
            Err(QueryError::NotAllowed {
                of_another: false,
                ..
            })
        ),
        "{refused:?}"
    );
    for query in ["mine", "by_status"] {
        let nobody = Caller::default();
        let refused = bed
            .ask_by(nobody, "orders_by_user", query, "status=placed")
            .await;
        assert!(
            matches!(refused, Err(QueryError::Unauthenticated { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_roles_query_is_for_whoever_has_the_role() {
    use foldline_read_model::Access;
    let mut list = std::sync::Arc::try_unwrap(kit::orders()).unwrap();
    list.queries[1].access = Access::Role("warehouse".into());
    let list = std::sync::Arc::new(list);
    let bed = kit::bed(&[&list], Settings::default()).await;
    let _table = kit::served(&bed, &list).await;
    let ask = |caller| bed.ask_by(caller, "orders_by_user", "by_status", "status=placed");
    for caller in [
        Caller::user(ANN).with_role("warehouse"),
        Caller::default().with_role("warehouse"),
        Caller::default().with(Right::Staff),
    ] {
        ask(caller).await.unwrap();
    }
    for caller in [Caller::user(ANN), Caller::default().with_role("house")] {
        let refused = ask(caller).await;
        assert!(
            matches!(refused, Err(QueryError::NotAllowed { .. })),
            "{refused:?}"
        );
    }
    let refused = ask(Caller::default()).await;
    assert!(
        matches!(refused, Err(QueryError::Unauthenticated { .. })),
        "{refused:?}"
    );
    // An owner's query is for users, and a role is none.
    let clerk = Caller::default().with_role("warehouse");
    let refused = bed.ask_by(clerk, "orders_by_user", "mine", "").await;
    assert!(
        matches!(refused, Err(QueryError::NotAllowed { .. })),
        "{refused:?}"
    );
}
