//! Expressions over one event, from their text to their value.

use foldline_kernel::{
    CommandId, Epoch, EventId, LaneSequence, Sequence, Timestamp, UserId, Version,
};
use foldline_schema::{CommandPart, Event, NewEvent, Stamp, command_hash, encode};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{Compiler, Input, Names};
use crate::{Value, shape::Shape};

fn event() -> Event {
    let id = Uuid::from_u128(7);
    let context = "orders".parse().unwrap();
    let new = NewEvent {
        id: EventId(id),
        type_name: "order.placed.v1".into(),
        command_hash: command_hash(&context, "place", b""),
        context,
        subject: UserId(Uuid::from_u128(8)),
        time: "2018-01-31T23:59:59Z".parse().unwrap(),
        stream_version: Version(1),
        command_id: CommandId::minted(id),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: Map::new(),
        data: "{}".into(),
    };
    let stamp = Stamp {
        sequence: Sequence(3),
        lane_sequence: LaneSequence(5),
        epoch: Epoch(1),
    };
    encode(&"market".parse().unwrap(), new, stamp)
}

fn schema() -> Json {
    let int = json!({ "type": "integer", "format": "int64" });
    let text = json!({ "type": "string" });
    json!({ "type": "object",
        "required": ["a", "zero", "big", "word", "at", "who", "list", "yes", "any", "inner"],
        "properties": {
            "a": int, "zero": int, "big": int, "maybe": { "type": ["integer", "null"] },
            "word": text, "at": { "type": "string", "format": "date-time" },
            "who": { "type": "string", "format": "uuid" }, "yes": { "type": "boolean" },
            "list": { "type": "array", "items": int }, "any": true,
            "name": { "anyOf": [
                { "type": "object", "properties": { "plain": text }, "required": ["plain"] },
                { "type": "object", "properties": { "sealed": text, "key": text },
                    "required": ["sealed", "key"] } ] },
            "inner": { "type": "object", "properties": { "b": int }, "required": ["b"] },
            "gone": { "type": "object", "properties": { "b": int }, "required": ["b"] },
        } })
}

fn data() -> Json {
    json!({ "a": 7, "zero": 0, "big": i64::MAX, "maybe": null, "word": "Olá",
        "at": "2018-02-28T21:00:00-03:00", "who": "00000000-0000-0000-0000-00000000000B",
        "list": [1, 2], "yes": true, "any": [1], "name": { "plain": "Ana" },
        "inner": { "b": 2 } })
}

/// The value of an expression, `None` where it is an absent path.
fn evaluate(text: &str, data: &Json) -> Result<Option<Value>, String> {
    let shape = Shape::of_schema(&schema());
    let names = Names {
        data: &shape,
        item: None,
    };
    let compiled = Compiler::compile(text, names, &[])
        .unwrap_or_else(|trouble| panic!("{text}: {}", trouble.message));
    let event = event();
    compiled.expr.value(&Input {
        event: &event,
        type_name: &event.type_name,
        data: &data.into(),
        item: None,
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn expressions_have_the_values_that_cel_gives_them() {
    let time = |text: &str| Value::Time(text.parse::<Timestamp>().unwrap());
    for (expression, value) in [
        ("1 + 2 * 3", Value::Bigint(7)),
        ("(1 + 2) * 3", Value::Bigint(9)),
        ("-data.a / 2", Value::Bigint(-3)),
        ("-data.a % 4", Value::Bigint(-3)),
        ("data.a - -1", Value::Bigint(8)),
        ("-9223372036854775808", Value::Bigint(i64::MIN)),
        ("'it\\'s'", text("it's")),
        ("data.word", text("Olá")),
        ("size(data.word) + size(data.list)", Value::Bigint(5)),
        ("month(time)", text("2018-01")),
        ("month(data.at)", text("2018-03")),
        ("data.at", time("2018-03-01T00:00:00Z")),
        ("data.who", Value::Uuid(Uuid::from_u128(11))),
        (
            "data.who == '0000000000000000000000000000000b'",
            Value::Bool(true),
        ),
        ("data.at > '2018-02-28T23:59:59Z'", Value::Bool(true)),
        ("id", Value::Uuid(Uuid::from_u128(7))),
        ("subject", Value::Uuid(Uuid::from_u128(8))),
        ("type", text("order.placed.v1")),
        ("context", text("orders")),
        ("sequence * 100 + lanesequence", Value::Bigint(305)),
        ("data.inner.b", Value::Bigint(2)),
        ("data.name", text("Ana")),
        ("data.any", Value::Json("[1]".into())),
        ("data.yes && !(data.a < 7) || false", Value::Bool(true)),
        (
            "data.a >= 7 && data.a <= 7 && data.a != 8",
            Value::Bool(true),
        ),
        ("data.word in ['x', 'Olá']", Value::Bool(true)),
        ("data.a in [1, 2]", Value::Bool(false)),
        ("has(data.maybe) ? data.maybe : -1", Value::Bigint(-1)),
        ("data.maybe == null", Value::Bool(true)),
        ("data.maybe != null && data.maybe > 3", Value::Bool(false)),
        ("!has(data.gone) || data.gone.b > 3", Value::Bool(true)),
        (
            "has(data.gone.b) ? data.gone.b : data.inner.b",
            Value::Bigint(2),
        ),
        ("data.yes ? data.maybe : 1", Value::Null),
        ("null", Value::Null),
        ("data.maybe", Value::Null),
        ("data.zero == 0 ? 0 : data.a / data.zero", Value::Bigint(0)),
    ] {
        assert_eq!(
            evaluate(expression, &data()),
            Ok(Some(value)),
            "{expression}"
        );
    }
}

#[test]
fn an_item_that_may_be_null_is_proven_by_comparing_it() {
    let shape = Shape::of_schema(&schema());
    let item = Shape::of_schema(&json!({ "type": ["integer", "null"] }));
    let names = Names {
        data: &shape,
        item: Some(&item),
    };
    let refused = Compiler::compile("item + 1", names, &[]).unwrap_err();
    let way_out = "add `when = \"item != null\"`, or write `item != null ? item : …`";
    assert_eq!(refused.help.as_deref(), Some(way_out));
    assert!(Compiler::compile("item != null ? item + 1 : 0", names, &[]).is_ok());
}

#[test]
fn absent_is_not_null_for_a_plain_path_alone() {
    let mut data = data();
    data.as_object_mut().unwrap().remove("maybe");
    assert_eq!(evaluate("data.maybe", &data), Ok(None));
    assert_eq!(evaluate("data.gone.b", &data), Ok(None));
    assert_eq!(
        evaluate("data.yes ? data.maybe : 1", &data),
        Ok(Some(Value::Null))
    );
    assert_eq!(
        evaluate("data.maybe == null", &data),
        Ok(Some(Value::Bool(true)))
    );
}

#[test]
fn a_sealed_value_is_null_and_no_store_meets_a_zero_byte() {
    let mut data = data();
    data["name"] = json!({ "sealed": "AAEC", "key": "k1" });
    assert_eq!(evaluate("data.name", &data), Ok(Some(Value::Null)));
    assert_eq!(
        evaluate("has(data.name)", &data),
        Ok(Some(Value::Bool(false)))
    );
    data["word"] = "a\0b".into();
    assert_eq!(evaluate("data.word", &data), Ok(Some(text("a\u{fffd}b"))));
}

#[test]
fn what_has_no_value_says_why() {
    let mut odd = data();
    odd["word"] = json!(5);
    odd["who"] = json!("me");
    odd["inner"] = json!("flat");
    odd["list"] = json!(u64::MAX);
    odd["a"] = json!(u64::MAX);
    for (expression, data, reason) in [
        (
            "data.big + 1",
            data(),
            "`(data.big + 1)` leaves the range of a bigint",
        ),
        (
            "-(-data.big - 1)",
            data(),
            "`-(-data.big - 1)` leaves the range of a bigint",
        ),
        (
            "(-data.big - 1) / -1",
            data(),
            "`((-data.big - 1) / -1)` leaves the range of a bigint",
        ),
        (
            "data.a / data.zero",
            data(),
            "`(data.a / data.zero)` divides by zero",
        ),
        (
            "data.a % data.zero",
            data(),
            "`(data.a % data.zero)` divides by zero",
        ),
        ("data.word", odd.clone(), "`data.word` is 5, not text"),
        ("data.who", odd.clone(), "`data.who` is text, not a uuid"),
        (
            "data.inner.b",
            odd.clone(),
            "`data.inner.b` looks for `b` in text",
        ),
        (
            "size(data.list)",
            odd.clone(),
            "`data.list` is a number, which has no size",
        ),
        (
            "data.a",
            odd.clone(),
            "`data.a` is 18446744073709551615, not an integer of 64 bits",
        ),
        (
            "data.a + 1",
            json!({}),
            "`data.a` is absent, not an integer",
        ),
        (
            "data.name",
            json!({ "name": "Ana" }),
            "`data.name` is no personal value",
        ),
    ] {
        assert_eq!(
            evaluate(expression, &data),
            Err(reason.into()),
            "{expression}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn arithmetic_is_that_of_checked_integers(a: i64, b: i64) {
        let data = json!({ "a": a, "zero": b });
        for (expression, expected) in [
            ("data.a + data.zero", a.checked_add(b)),
            ("data.a - data.zero", a.checked_sub(b)),
            ("data.a * data.zero", a.checked_mul(b)),
            ("data.a / data.zero", a.checked_div(b)),
            ("data.a % data.zero", a.checked_rem(b)),
        ] {
            let value = evaluate(expression, &data).ok().flatten();
            proptest::prop_assert_eq!(value, expected.map(Value::Bigint));
        }
    }

    /// Whatever stands in a file, the answer is an expression or a reason.
    #[test]
    fn no_text_brings_the_compiler_down(text in "[a-z0-9 .'()+*?:<&|!\\[\\]{}é-]{0,30}") {
        let shape = Shape::of_schema(&schema());
        let names = Names { data: &shape, item: None };
        let _ = Compiler::compile(&text, names, &[]);
    }
}
