//! Exactly one effect, whoever writes and however often.

use foldline_kernel::{Lane, LaneSequence};
use foldline_read_model::{Change, RowKey, RowValues, Value};
use proptest::{collection::vec, prelude::any};

use super::{
    Stores,
    kit::{self, Dice, Rows},
    models,
};
use crate::{CommitError, TableWriter, Words};

fn assert_fenced(outcome: Result<(), CommitError>, lane: u16) {
    match outcome {
        Err(CommitError::Fenced { lane: told, .. }) => assert_eq!(told, Lane(lane)),
        other => panic!("expected a fence on lane {lane}, not {other:?}"),
    }
}

/// The same batch a second time changes nothing and is told.
pub async fn a_duplicate_has_no_effect(stores: &Stores) {
    let model = models::sales("duplicates");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let key = kit::key([kit::uuid(1), kit::text("2018-01")]);
    let sold = kit::change(&model, 1, &[(2, Value::Bigint(1)), (3, Value::Bigint(500))]);
    let batch = kit::batch(&model, 3, 0, 1, [(key.clone(), sold)]);
    writer.commit(&batch).await.expect("the first time");
    assert_fenced(writer.commit(&batch).await, 3);
    let mut other = stores
        .second
        .writer(&model, number)
        .await
        .expect("a writer");
    assert_fenced(other.commit(&batch).await, 3);
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    let (rows, absorbed) = kit::all_rows(&reader).await;
    assert_eq!(rows[&key][..2], [Value::Bigint(1), Value::Bigint(500)]);
    assert_eq!(absorbed.checkpoints, [kit::checkpoint(3, 1)]);
}

/// Once another writer has moved a checkpoint, the one before it can write nothing to that lane.
pub async fn a_replaced_writer_is_fenced(stores: &Stores) {
    let model = models::sales("replaced");
    let (number, mut old) = kit::fresh(&stores.first, &model).await;
    let sold = |at| {
        let key = kit::key([kit::uuid(1), kit::text("2018-01")]);
        (key, kit::change(&model, at, &[(2, Value::Bigint(1))]))
    };
    let commit = |from, to| kit::batch(&model, 0, from, to, [sold(to)]);
    old.commit(&commit(0, 10)).await.expect("the only writer");
    let mut new = stores
        .second
        .writer(&model, number)
        .await
        .expect("a writer");
    let seen = new.absorbed().await.expect("checkpoints");
    assert_eq!(seen.lane(Lane(0)), Some(&kit::checkpoint(0, 10)));
    new.commit(&commit(10, 20)).await.expect("the new writer");
    assert_fenced(old.commit(&commit(10, 15)).await, 0);
    new.commit(&commit(20, 30))
        .await
        .expect("the new writer again");
    let seen = old.absorbed().await.expect("checkpoints");
    assert_eq!(seen.lane(Lane(0)), Some(&kit::checkpoint(0, 30)));
    // It may go on from what it has seen now: the rows are those of the other one, not its own.
    old.commit(&commit(30, 40))
        .await
        .expect("having read again");
    let reader = stores.first.reader(&model, number).await.expect("a reader");
    let (rows, _) = kit::all_rows(&reader).await;
    let row = rows.into_values().next().expect("one row");
    assert_eq!(row[0], Value::Bigint(4));
}

/// When one lane of a batch is fenced, nothing of the batch is there.
pub async fn a_batch_is_all_or_nothing(stores: &Stores) {
    let model = models::sales("whole");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let key = kit::key([kit::uuid(1), kit::text("2018-01")]);
    let sold = |at| kit::change(&model, at, &[(2, Value::Bigint(1))]);
    let first = kit::batch(&model, 1, 0, 5, [(key.clone(), sold(5))]);
    writer.commit(&first).await.expect("a first commit");
    let mut torn = kit::batch(&model, 2, 0, 7, [(key.clone(), sold(7))]);
    torn.checkpoints
        .push((LaneSequence(4), kit::checkpoint(1, 8)));
    torn.parked = vec![kit::parked(9, 2, 7, "no")];
    assert_fenced(writer.commit(&torn).await, 1);
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    let (rows, absorbed) = kit::all_rows(&reader).await;
    assert_eq!(rows[&key][0], Value::Bigint(1));
    assert_eq!(absorbed.checkpoints, [kit::checkpoint(1, 5)]);
    assert!(absorbed.parked.is_empty(), "{absorbed:?}");
    // The writer is still good, and knows the rows as they are.
    torn.checkpoints[1].0 = LaneSequence(5);
    writer.commit(&torn).await.expect("mended");
    let (rows, absorbed) = kit::all_rows(&reader).await;
    assert_eq!(rows[&key][0], Value::Bigint(2));
    assert_eq!(absorbed.parked, torn.parked);
}

/// While somebody holds a generation, nobody commits to it; afterwards everybody goes on.
pub async fn a_held_generation_stands_still(stores: &Stores) {
    let model = models::sales("held");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let commit = |from, to| kit::batch(&model, 0, from, to, []);
    writer.commit(&commit(0, 5)).await.expect("a commit");
    let mut holder = stores
        .second
        .writer(&model, number)
        .await
        .expect("a writer");
    let held = holder.hold().await.expect("nobody else holds it");
    assert_eq!(held.checkpoints, [kit::checkpoint(0, 5)]);
    let batch = commit(5, 9);
    let mut committing = std::pin::pin!(writer.commit(&batch));
    let reader = stores.first.reader(&model, number).await.expect("a reader");
    for _ in 0..20 {
        let early = futures::poll!(committing.as_mut());
        assert!(early.is_pending(), "it commits while it is held: {early:?}");
        let absorbed = reader.absorbed().await.expect("readers are not held back");
        assert_eq!(absorbed.checkpoints, [kit::checkpoint(0, 5)]);
    }
    drop(holder);
    committing.await.expect("it goes on");
    let absorbed = reader.absorbed().await.expect("absorbed");
    assert_eq!(absorbed.checkpoints, [kit::checkpoint(0, 9)]);
}

/// Parked users are stored with the checkpoint, and the first event stays the one that says why.
pub async fn parked_users_stay_parked(stores: &Stores) {
    let model = models::orders("parking");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let mut batch = kit::batch(&model, 0, 0, 5, []);
    batch.parked = vec![kit::parked(2, 0, 4, "a sum overflows")];
    writer.commit(&batch).await.expect("a commit");
    let mut again = kit::batch(&model, 0, 5, 9, []);
    again.parked = vec![kit::parked(2, 0, 7, "later"), kit::parked(1, 0, 8, "shape")];
    writer.commit(&again).await.expect("a commit");
    let expected = [
        kit::parked(2, 0, 4, "a sum overflows"),
        kit::parked(1, 0, 8, "shape"),
    ];
    assert_eq!(writer.absorbed().await.expect("absorbed").parked, expected);
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    assert_eq!(reader.absorbed().await.expect("absorbed").parked, expected);
    let selected = reader.select(&kit::select(&[], &[])).await;
    assert_eq!(selected.expect("no rows").absorbed.parked, expected);
}

/// Whatever the batches, whichever of two writers commits them, with stale attempts between: the
/// rows are those of the changes applied one by one.
pub async fn any_batching_by_any_writer_gives_the_same_rows(stores: &Stores) {
    let mut dice = Dice::new();
    for round in 0..12 {
        let model = models::sales(&format!("batching_{round}"));
        let (number, first) = kit::fresh(&stores.first, &model).await;
        let second = stores
            .second
            .writer(&model, number)
            .await
            .expect("a writer");
        let mut writers: [Box<dyn TableWriter>; 2] = [first, second];
        let (mut expected, mut at, mut stale) = (Rows::new(), 0, None);
        for step in dice.draw(vec(
            (vec((0..6_u128, -50..50_i64), 0..40), any::<bool>()),
            1..12,
        )) {
            let (changes, other) = step;
            let to = at + 1 + changes.len() as u64;
            let changes = changes.into_iter().zip(at + 1..).map(|((row, n), at)| {
                let key = kit::key([kit::uuid(row), kit::text("2018-01")]);
                let operands = [
                    (2, Value::Bigint(1)),
                    (3, Value::Bigint(n)),
                    (4, kit::time(n)),
                    (5, kit::time(n)),
                ];
                (key, kit::change(&model, at, &operands))
            });
            let batch = kit::batch(&model, 0, at, to, changes);
            if let Some(stale) = stale.replace(batch.clone()) {
                assert_fenced(writers[usize::from(!other)].commit(&stale).await, 0);
            }
            let writer = &mut writers[usize::from(other)];
            writer.commit(&batch).await.expect("a commit in turn");
            kit::apply(&model, &mut expected, &batch);
            at = to;
        }
        let reader = stores.first.reader(&model, number).await.expect("a reader");
        assert_eq!(kit::all_rows(&reader).await.0, expected, "round {round}");
    }
}

/// What sets some columns, what adds, what deletes: in any mixture and any batches, by either
/// writer, the rows and their words are those of the changes applied one by one.
pub async fn sets_sums_and_deletes_mix(stores: &Stores) {
    let mut dice = Dice::new();
    for round in 0..8 {
        let model = models::mixed(&format!("mixed_{round}"));
        let (number, first) = kit::fresh(&stores.first, &model).await;
        let second = stores
            .second
            .writer(&model, number)
            .await
            .expect("a writer");
        let mut writers: [Box<dyn TableWriter>; 2] = [first, second];
        let (mut expected, mut at) = (Rows::new(), 0);
        // The second one comes in rarely, so that the first has something to remember.
        let step = (vec((0..8_i64, 0..7_u8, 0..9_i64), 0..60), 0..5_u8);
        for (changes, turn) in dice.draw(vec(step, 1..20)) {
            let to = at + 1 + changes.len() as u64;
            let changes = changes
                .into_iter()
                .zip(at + 1..)
                .map(|((row, kind, n), at)| {
                    let key = kit::key([kit::text(&format!("Nome {row}")), Value::Bigint(row)]);
                    let title = (2, kit::text(&format!("Título {n}")));
                    let (cents, sum) = ((3, Value::Bigint(n)), (4, Value::Bigint(n - 4)));
                    let change = match kind {
                        0 => Change::delete(LaneSequence(at)),
                        1 => kit::change(&model, at, &[title]),
                        2 => kit::change(&model, at, &[cents]),
                        3 => kit::change(&model, at, &[title, cents]),
                        4 => kit::change(&model, at, &[sum]),
                        5 => kit::change(&model, at, &[title, sum, (5, kit::time(n))]),
                        _ => Change::upsert(LaneSequence(at)),
                    };
                    (key, change)
                });
            let batch = kit::batch(&model, 0, at, to, changes);
            let writer = &mut writers[usize::from(turn == 0)];
            writer.commit(&batch).await.expect("a commit in turn");
            kit::apply(&model, &mut expected, &batch);
            at = to;
        }
        let reader = stores.first.reader(&model, number).await.expect("a reader");
        assert_eq!(kit::all_rows(&reader).await.0, expected, "round {round}");
        for n in 0..9 {
            let words = vec!["nome".to_owned(), "titulo".into(), n.to_string()];
            let mut select = kit::select(&[], &[kit::ascending(0), kit::descending(1)]);
            let columns = vec![0, 2];
            select.words = Some(Words { columns, words });
            let found = reader.select(&select).await.expect("rows").rows;
            let has = |(key, values): &(&RowKey, &RowValues)| {
                let titled = values[0] == kit::text(&format!("Título {n}"));
                titled || (!values[0].is_null() && key[1] == Value::Bigint(n))
            };
            let expected = expected.iter().filter(has).count();
            assert_eq!(found.len(), expected, "round {round}, {n}");
        }
    }
}
