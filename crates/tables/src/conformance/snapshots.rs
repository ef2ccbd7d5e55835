//! Passes over all rows as of one point.

use foldline_read_model::Value;

use super::{Stores, kit, models};

/// What is committed after a snapshot began is not in it.
pub async fn a_snapshot_stands_still(stores: &Stores) {
    let model = models::sales("still");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let sold = |from: u64, to: u64| {
        let changes = (from + 1..=to).map(|at| {
            let key = kit::key([kit::uuid(u128::from(at % 50)), kit::text("m")]);
            (key, kit::change(&model, at, &[(2, Value::Bigint(1))]))
        });
        kit::batch(&model, 0, from, to, changes)
    };
    writer.commit(&sold(0, 40)).await.expect("a commit");
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.absorbed().checkpoints, [kit::checkpoint(0, 40)]);
    let mut rows = snapshot.next_rows(3).await.expect("rows");
    for step in 0..5 {
        let (from, to) = (40 + step * 10, 50 + step * 10);
        writer.commit(&sold(from, to)).await.expect("a commit");
        rows.extend(snapshot.next_rows(7).await.expect("rows"));
    }
    rows.extend(snapshot.next_rows(1000).await.expect("rows"));
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|(_, row)| row[0] == Value::Bigint(1)));
    snapshot.rewind();
    let again = snapshot.next_rows(1000).await.expect("rows");
    assert_eq!(again, rows, "the same point, from its first row");
    assert_eq!(snapshot.absorbed().checkpoints, [kit::checkpoint(0, 40)]);
    drop(snapshot);
    let (rows, absorbed) = kit::all_rows(&reader).await;
    assert_eq!(
        (rows.len(), absorbed.checkpoints),
        (50, vec![kit::checkpoint(0, 90)])
    );
}

/// All rows come in ascending order of their keys, also where they lie in another order.
pub async fn a_snapshot_yields_every_row_by_key(stores: &Stores) {
    let model = models::orders("by_key");
    let changes = (0..500_u64).map(|at| {
        let (user, placed) = (u128::from(at % 7), (at * 31 % 101) as i64);
        let key = kit::key([
            kit::uuid(user),
            kit::time(placed),
            kit::uuid(u128::from(at)),
        ]);
        (
            key,
            kit::change(&model, at + 1, &[(4, Value::Bigint(at as i64))]),
        )
    });
    let reader = kit::filled(&stores.first, &model, changes).await;
    // The reading itself asserts the order.
    assert_eq!(kit::all_rows(&reader).await.0.len(), 500);
    let mut snapshot = reader.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.next_rows(1000).await.expect("rows").len(), 500);
    assert!(snapshot.next_rows(1000).await.expect("the end").is_empty());
}
