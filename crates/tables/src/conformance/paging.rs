//! Total orders, and pages that neither lose nor repeat a row.

use std::sync::Arc;

use foldline_read_model::{Change, Field, Model, OrderTerm, RowKey, Value};
use proptest::{collection::vec, option, prelude::any, sample};

use super::{
    Stores,
    kit::{self, Dice},
    models,
};
use crate::{Condition, TableReader};

/// Null comes first in ascending order and last in descending order.
pub async fn null_sorts_below_everything(stores: &Stores) {
    let model = models::things("nulls");
    let thing = |id, cents: Option<i64>| {
        let cents = cents.map_or(Value::Null, Value::Bigint);
        (
            kit::key([Value::Bigint(id)]),
            kit::change(&model, 1, &[(4, cents)]),
        )
    };
    let things = [
        thing(1, Some(5)),
        thing(2, None),
        thing(3, Some(i64::MIN)),
        thing(4, None),
    ];
    let reader = kit::filled(&stores.first, &model, things).await;
    for size in [1, 2, 3, 10] {
        let up = kit::select(&[], &[kit::ascending(4), kit::ascending(0)]);
        assert_eq!(ids(&model, &reader, &up, size).await, [2, 4, 3, 1]);
        let down = kit::select(&[], &[kit::descending(4), kit::ascending(0)]);
        assert_eq!(ids(&model, &reader, &down, size).await, [1, 3, 2, 4]);
    }
}

async fn ids(
    model: &Model,
    reader: &Arc<dyn TableReader>,
    select: &crate::Select,
    size: u32,
) -> Vec<i64> {
    let rows = kit::pages(model, reader, select, size).await;
    let id = |row: Vec<Value>| match row[0] {
        Value::Bigint(id) => id,
        _ => panic!("an id is a bigint: {row:?}"),
    };
    rows.into_iter().map(id).collect()
}

/// In any order, with any page size, every row comes once and in its place.
pub async fn every_order_is_total_and_pages_lose_nothing(stores: &Stores) {
    let mut dice = Dice::new();
    for round in 0..8 {
        let model = models::things(&format!("orders_{round}"));
        let things = any_things(&model, &mut dice);
        let reader = kit::filled(&stores.first, &model, things).await;
        let (rows, _) = kit::all_rows(&reader).await;
        let rows: Vec<Vec<Value>> = rows
            .into_iter()
            .map(|(key, values)| key.into_iter().chain(values).collect())
            .collect();
        for _ in 0..8 {
            // Every column but the key and the one that cannot be sorted by.
            let columns = dice.draw(sample::subsequence(vec![1, 2, 3, 4, 5, 6], 0..4));
            let mut order: Vec<OrderTerm> = Vec::new();
            for column in columns {
                let down = dice.draw(any::<bool>());
                let term = if down {
                    kit::descending
                } else {
                    kit::ascending
                };
                order.push(term(column));
            }
            order.push(kit::ascending(0));
            let listed = dice.draw(option::of(any::<bool>()));
            let conditions: Vec<_> = listed
                .map(|listed| Condition::Eq(5, Value::Bool(listed)))
                .into_iter()
                .collect();
            let size = dice.draw(1..20_u32);
            let select = kit::select(&conditions, &order);
            let paged = kit::pages(&model, &reader, &select, size).await;
            let mut expected = rows.clone();
            expected.retain(|row| listed.is_none_or(|listed| row[5] == Value::Bool(listed)));
            expected.sort_by(|a, b| kit::compare(&model, &order, a, b));
            assert_eq!(paged, expected, "{order:?} by {size}");
        }
    }
}

/// A list that is read along its key, whole or from bounds on, in pages of any size: every row
/// comes once and in its place, whatever its types and directions.
pub async fn lists_page_along_their_key(stores: &Stores) {
    let mut dice = Dice::new();
    for round in 0..3 {
        let model = models::ledger(&format!("ledger_{round}"));
        let part = (
            0..2_usize,
            -2..3_i64,
            any::<bool>(),
            sample::select(UUIDS.to_vec()),
            -2..3_i64,
        );
        let lines = dice.draw(vec(part, 1..80));
        let lines = lines.into_iter().map(|(owner, day, open, item, line)| {
            let (owner, day) = (kit::text(["", "a"][owner]), kit::time(day));
            let rest = [Value::Bool(open), kit::uuid(item), Value::Bigint(line)];
            let key = kit::key([owner, day].into_iter().chain(rest));
            (key, kit::change(&model, 1, &[(5, Value::Bigint(line))]))
        });
        let reader = kit::filled(&stores.first, &model, lines).await;
        let (rows, _) = kit::all_rows(&reader).await;
        let order = &model.queries[0].orders[0].terms;
        let mut rows: Vec<Vec<Value>> = rows
            .into_iter()
            .map(|(key, values)| key.into_iter().chain(values).collect())
            .collect();
        rows.sort_by(|a, b| kit::compare(&model, order, a, b));
        for _ in 0..12 {
            let owner = kit::text(["", "a"][dice.draw(0..2_usize)]);
            let mut conditions = vec![Condition::Eq(0, owner)];
            // Equal in so many columns of the order, then between two bounds.
            let (day, open) = (kit::time(dice.draw(-2..3_i64)), dice.draw(any::<bool>()));
            match dice.draw(0..5_u8) {
                0 => {}
                1 => conditions.push(Condition::Eq(1, day)),
                2 => conditions.push(Condition::AtLeast(1, day)),
                3 => conditions.push(Condition::AtMost(1, day)),
                _ => {
                    conditions.push(Condition::Eq(1, day));
                    conditions.push(Condition::AtMost(2, Value::Bool(open)));
                }
            }
            let size = dice.draw(1..9_u32);
            let select = kit::select(&conditions, order);
            let paged = kit::pages(&model, &reader, &select, size).await;
            let meets = |row: &&Vec<Value>| {
                conditions.iter().all(|condition| match condition {
                    Condition::Eq(column, value) => row[*column] == *value,
                    Condition::AtLeast(column, value) => row[*column] >= *value,
                    Condition::AtMost(column, value) => row[*column] <= *value,
                })
            };
            let expected: Vec<_> = rows.iter().filter(meets).cloned().collect();
            assert_eq!(paged, expected, "{conditions:?} by {size}");
        }
    }
}

/// Ids whose versions and times sort otherwise than their bytes.
const UUIDS: [u128; 5] = [
    0x0000_0000_0000_1fff_8000_0000_0000_0000,
    0x0100_0000_0000_1000_8000_0000_0000_0000,
    0x0100_0000_0000_7000_8000_0000_0000_0000,
    0xf000_0000_0000_4000_8000_0000_0000_0000,
    0xffff_ffff_ffff_1fff_ffff_ffff_ffff_ffff,
];

/// Rows whose values repeat, so that later terms of an order decide.
fn any_things(model: &Model, dice: &mut Dice) -> Vec<(RowKey, Change)> {
    let texts = option::of(sample::select(vec!["", "a", "A", "ab", "ä", "z"]));
    let thing = (
        (texts.clone(), texts, option::of(0..3_u128)),
        (
            option::of(-1..3_i64),
            option::of(any::<bool>()),
            option::of(-2..2_i64),
        ),
    );
    let things = dice.draw(vec(thing, 0..60));
    let change = |((name, maker, code), (cents, listed, at)): (_, _)| {
        let text = |text: Option<&str>| text.map_or(Value::Null, kit::text);
        let operands = [
            (1, text(name)),
            (2, text(maker)),
            (3, Option::map_or(code, Value::Null, kit::uuid)),
            (4, Option::map_or(cents, Value::Null, Value::Bigint)),
            (5, Option::map_or(listed, Value::Null, Value::Bool)),
            (6, Option::map_or(at, Value::Null, kit::time)),
        ];
        kit::change(model, 1, &operands)
    };
    let things = things.into_iter().enumerate();
    things
        .map(|(id, thing)| (kit::key([Value::Bigint(id as i64)]), change(thing)))
        .collect()
}

/// A derived value is a decimal division, null where it divides by 0.
pub async fn derived_values_sort_as_numbers_with_null_first(stores: &Stores) {
    let model = models::sales("derived");
    let cases = [
        (7, 2),
        (0, 0),
        (-1, 3),
        (10, 3),
        (5, 0),
        (1, 3),
        (2, 6),
        (i64::MAX, 3),
        (0, 9),
    ];
    let sales = cases.iter().zip(1..).map(|((revenue, lines), seller)| {
        let key = kit::key([kit::uuid(seller), kit::text("2018-01")]);
        let operands = [(2, Value::Bigint(*lines)), (3, Value::Bigint(*revenue))];
        (key, kit::change(&model, 1, &operands))
    });
    let reader = kit::filled(&stores.first, &model, sales).await;
    for descending in [false, true] {
        let mean = OrderTerm {
            field: Field::Derived(0),
            descending,
        };
        let order = [mean, kit::ascending(0), kit::ascending(1)];
        let select = kit::select(&[], &order);
        let mut expected = kit::pages(&model, &reader, &kit::select(&[], &[]), 100).await;
        assert_eq!(expected.len(), cases.len());
        expected.sort_by(|a, b| kit::compare(&model, &order, a, b));
        for size in [1, 2, 4, 100] {
            assert_eq!(kit::pages(&model, &reader, &select, size).await, expected);
        }
    }
}
