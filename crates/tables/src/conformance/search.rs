//! Conditions and words.

use foldline_kernel::LaneSequence;
use foldline_read_model::{Change, Value};

use super::{Stores, kit, models};
use crate::{Condition, Select, Words};

/// All conditions hold at once; bounds are inclusive; null meets none of them.
pub async fn conditions_hold_together(stores: &Stores) {
    let model = models::things("conditions");
    let thing = |id: i64, cents: Value, listed: bool| {
        let operands = [(4, cents), (5, Value::Bool(listed))];
        (
            kit::key([Value::Bigint(id)]),
            kit::change(&model, 1, &operands),
        )
    };
    let cents = Value::Bigint;
    let things = [
        thing(1, cents(10), true),
        thing(2, cents(20), true),
        thing(3, cents(30), false),
        thing(4, Value::Null, true),
        thing(5, cents(30), true),
    ];
    let reader = kit::filled(&stores.first, &model, things).await;
    let listed = Condition::Eq(5, Value::Bool(true));
    let cases: [(&[Condition], &[i64]); 5] = [
        (&[], &[1, 2, 3, 4, 5]),
        (std::slice::from_ref(&listed), &[1, 2, 4, 5]),
        (&[Condition::AtLeast(4, cents(20))], &[2, 3, 5]),
        (&[Condition::AtMost(4, cents(20))], &[1, 2]),
        (
            &[
                listed.clone(),
                Condition::AtLeast(4, cents(20)),
                Condition::AtMost(4, cents(30)),
            ],
            &[2, 5],
        ),
    ];
    for (conditions, expected) in cases {
        let select = kit::select(conditions, &[kit::ascending(0)]);
        let rows = reader.select(&select).await.expect("rows").rows;
        let ids: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
        let expected: Vec<_> = expected.iter().copied().map(Value::Bigint).collect();
        assert_eq!(ids, expected, "{conditions:?}");
    }
}

/// A word is found as a whole, in any case, with or without accents; all of them must be there,
/// in whichever of the searched columns.
pub async fn words_are_found_whole(stores: &Stores) {
    let model = models::things("words");
    let thing = |id: i64, name: Value, maker: Value| {
        let operands = [(1, name), (2, maker)];
        (
            kit::key([Value::Bigint(id)]),
            kit::change(&model, 1, &operands),
        )
    };
    let things = [
        thing(1, kit::text("Relógio de Parede"), kit::text("Acme")),
        thing(2, kit::text("relogio-digital"), Value::Null),
        thing(3, Value::Null, kit::text("Parede & Cia.")),
        thing(4, kit::text("100% algodão_%"), kit::text("")),
        thing(5, kit::text("pared"), Value::Null),
    ];
    let reader = kit::filled(&stores.first, &model, things).await;
    let cases: [(&[&str], &[i64]); 7] = [
        (&[], &[1, 2, 3, 4, 5]),
        (&["relogio"], &[1, 2]),
        (&["parede"], &[1, 3]),
        (&["parede", "relogio"], &[1]),
        (&["relogio", "acme"], &[1]),
        (&["algodao"], &[4]),
        (&["rel"], &[]),
    ];
    for (words, expected) in cases {
        let select = Select {
            words: Some(Words {
                columns: vec![1, 2],
                words: words.iter().map(ToString::to_string).collect(),
            }),
            ..kit::select(&[], &[kit::ascending(0)])
        };
        let rows = reader.select(&select).await.expect("rows").rows;
        let ids: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
        let expected: Vec<_> = expected.iter().copied().map(Value::Bigint).collect();
        assert_eq!(ids, expected, "{words:?}");
    }
}

/// A row shows once its `present` column is set; a pass over all rows has it nevertheless.
pub async fn rows_that_do_not_show(stores: &Stores) {
    let model = models::orders("present");
    let key = |order| kit::key([kit::uuid(1), kit::time(5), kit::uuid(order)]);
    let changes = [
        (key(1), kit::change(&model, 1, &[(3, kit::text("placed"))])),
        (key(2), kit::change(&model, 2, &[(4, Value::Bigint(5))])),
        (key(3), Change::upsert(LaneSequence(3))),
    ];
    let reader = kit::filled(&stores.first, &model, changes).await;
    assert_eq!(reader.count().await.expect("a count"), 1);
    assert_eq!(kit::all_rows(&reader).await.0.len(), 3);
    let mine = &model.queries[0].orders[0].terms;
    let select = Select {
        present_only: true,
        ..kit::select(&[Condition::Eq(0, kit::uuid(1))], mine)
    };
    assert_eq!(kit::pages(&model, &reader, &select, 1).await.len(), 1);
}
