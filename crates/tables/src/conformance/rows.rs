//! What becomes of rows.

use foldline_kernel::LaneSequence;
use foldline_read_model::{Change, Value};

use super::{Stores, kit, models};
use crate::CommitError;

/// Values of every type, null and the extremes among them, are read as they were written.
pub async fn every_type_comes_back_as_it_went(stores: &Stores) {
    let model = models::things("types");
    let rows = [
        vec![Value::Null; 7],
        vec![
            kit::text("it's \"quoted\" \u{0} ß 漢 🦀"),
            kit::text(""),
            kit::uuid(u128::MAX),
            Value::Bigint(i64::MAX),
            Value::Bool(true),
            kit::time(253_402_300_799_999_999),
            Value::Json(r#"{"a":[1,2.5,null,"x"]}"#.into()),
        ],
        vec![
            kit::text(" "),
            kit::text("9"),
            kit::uuid(0),
            Value::Bigint(i64::MIN),
            Value::Bool(false),
            kit::time(-62_167_219_200_000_000),
            Value::Json("null".into()),
        ],
    ];
    let changes = rows.iter().enumerate().map(|(id, row)| {
        let operands: Vec<_> = row.iter().cloned().zip(1..).map(|(v, c)| (c, v)).collect();
        let id = if id == 2 { i64::MIN } else { id as i64 };
        (
            kit::key([Value::Bigint(id)]),
            kit::change(&model, 1, &operands),
        )
    });
    let reader = kit::filled(&stores.first, &model, changes).await;
    let (read, _) = kit::all_rows(&reader).await;
    assert_eq!(read[&kit::key([Value::Bigint(0)])], rows[0]);
    assert_eq!(read[&kit::key([Value::Bigint(1)])], rows[1]);
    assert_eq!(read[&kit::key([Value::Bigint(i64::MIN)])], rows[2]);
}

/// After a delete the row is gone; what comes later begins with nothing, in the same batch or in
/// a later one.
pub async fn a_deleted_row_starts_afresh(stores: &Stores) {
    let model = models::orders("deleting");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    let key = |order| kit::key([kit::uuid(1), kit::time(5), kit::uuid(order)]);
    let placed = |at| {
        let operands = [(3, kit::text("placed")), (4, Value::Bigint(900))];
        kit::change(&model, at, &operands)
    };
    let only = |at| kit::change(&model, at, &[(3, kit::text("back"))]);
    let delete = |at| Change::delete(LaneSequence(at));
    let batch = kit::batch(&model, 0, 0, 2, [(key(1), placed(1)), (key(2), placed(2))]);
    writer.commit(&batch).await.expect("two rows");
    let batch = kit::batch(
        &model,
        0,
        2,
        6,
        [
            (key(1), delete(3)),
            (key(2), delete(4)),
            (key(2), only(5)),
            (key(3), delete(6)),
        ],
    );
    writer.commit(&batch).await.expect("deletes");
    let (rows, _) = kit::all_rows(&reader).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[&key(2)], [kit::text("back"), Value::Null, Value::Null]);
    let batch = kit::batch(&model, 0, 6, 7, [(key(1), only(7))]);
    writer.commit(&batch).await.expect("a fresh start");
    let (rows, _) = kit::all_rows(&reader).await;
    assert_eq!(rows[&key(1)], [kit::text("back"), Value::Null, Value::Null]);
}

/// A sum that leaves its range is told with its row, and nothing of the batch is there.
pub async fn an_overflow_leaves_nothing(stores: &Stores) {
    let model = models::sales("overflow");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let key = |seller| kit::key([kit::uuid(seller), kit::text("2018-01")]);
    let add = |at, n| kit::change(&model, at, &[(3, Value::Bigint(n))]);
    let batch = kit::batch(&model, 0, 0, 1, [(key(2), add(1, i64::MAX - 1))]);
    writer.commit(&batch).await.expect("still within");
    let changes = [
        (key(1), add(2, 1)),
        (key(2), add(3, 2)),
        (key(3), add(4, 1)),
    ];
    let batch = kit::batch(&model, 0, 1, 4, changes);
    match writer.commit(&batch).await {
        Err(CommitError::Overflow {
            key: told,
            overflow,
            ..
        }) => {
            assert_eq!(told, key(2));
            assert_eq!(overflow.column, "revenue_cents");
        }
        other => panic!("expected an overflow, not {other:?}"),
    }
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    let (rows, absorbed) = kit::all_rows(&reader).await;
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), [key(2)]);
    assert_eq!(absorbed.checkpoints, [kit::checkpoint(0, 1)]);
    // The same writer goes on, with rows as they are.
    let batch = kit::batch(&model, 0, 1, 3, [(key(1), add(2, 1)), (key(2), add(3, 1))]);
    writer.commit(&batch).await.expect("within again");
    let (rows, _) = kit::all_rows(&reader).await;
    assert_eq!(rows[&key(1)][1], Value::Bigint(1));
    assert_eq!(rows[&key(2)][1], Value::Bigint(i64::MAX));
}

/// Batches of any size, with updates of what came before, come out as the changes say.
pub async fn large_batches_are_written_whole(stores: &Stores) {
    let model = models::sales("large");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let mut other = stores
        .second
        .writer(&model, number)
        .await
        .expect("a writer");
    let (mut expected, mut at) = (kit::Rows::new(), 0);
    for (round, size) in [1_u64, 3000, 1, 777, 2, 5000, 129].into_iter().enumerate() {
        let changes = (at + 1..=at + size).map(|at| {
            let key = kit::key([kit::uuid(u128::from(at * 7919 % 4001)), kit::text("m")]);
            let operands = [(2, Value::Bigint(1)), (4, kit::time(at as i64))];
            (key, kit::change(&model, at, &operands))
        });
        let batch = kit::batch(&model, 0, at, at + size, changes);
        // The other one comes in now and then, so that what a writer remembers is out of date.
        let writer = if round % 3 == 2 {
            &mut other
        } else {
            &mut writer
        };
        writer.commit(&batch).await.expect("a commit");
        kit::apply(&model, &mut expected, &batch);
        at += size;
    }
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    assert_eq!(kit::all_rows(&reader).await.0, expected);
    assert_eq!(
        reader.count().await.expect("a count"),
        expected.len() as u64
    );
}
