//! What may be asked, and how it is told when it may not.

use foldline_read_model::Value;

use super::kit::{self, text, uuid};
use crate::{QueryError, Settings};

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let model = kit::sales();
    let bed = kit::bed(&[&model, &kit::things()], Settings::default()).await;
    let _table = kit::served(&bed, &model).await;
    let seller = "seller_id=00000000-0000-0000-0000-000000000001";
    let cases = [
        (
            "nothing",
            "of",
            seller,
            "UnknownModel { model: \"nothing\", known: [\"products\", \"seller_sales\"] }",
        ),
        ("seller_sales", "off", seller, "UnknownQuery"),
        (
            "seller_sales",
            "of",
            "seller=1",
            "known: [\"seller_id\", \"month_from\", \"month_to\", \"order\", \"limit\", \"cursor\", \"fields\"]",
        ),
        (
            "seller_sales",
            "of",
            "text=a",
            "UnknownParameter { name: \"text\"",
        ),
        (
            "seller_sales",
            "of",
            "user_id=a",
            "UnknownParameter { name: \"user_id\"",
        ),
        (
            "seller_sales",
            "of",
            "",
            "MissingParameter { name: \"seller_id\" }",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&{seller}"),
            "DuplicateParameter { name: \"seller_id\" }",
        ),
        (
            "seller_sales",
            "of",
            "seller_id=7",
            "MalformedParameter { name: \"seller_id\", value: \"7\", trouble: \"it is no UUID\" }",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&limit=0"),
            "LimitOutOfRange { value: \"0\", max: 1000 }",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&limit=1001"),
            "LimitOutOfRange",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&limit=ten"),
            "LimitOutOfRange",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&fields=lines,revenue"),
            "UnknownField { name: \"revenue\"",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&fields="),
            "UnknownField { name: \"\"",
        ),
        (
            "seller_sales",
            "of",
            &format!("{seller}&order=worst"),
            "UnknownOrder { name: \"worst\", known: [\"first\"] }",
        ),
        ("products", "search", "limit=1", "NotReady"),
    ];
    for (model, query, parameters, expected) in cases {
        let refused = bed.ask(model, query, parameters).await.unwrap_err();
        let told = format!("{refused:?}");
        assert!(
            told.contains(expected),
            "{parameters}: {told}\nexpected {expected}"
        );
    }
}

#[tokio::test]
async fn ranges_have_both_their_ends() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    for month in ["2018-01", "2018-02", "2018-03"] {
        table
            .put(0, [uuid(1), text(month)], &[(2, Value::Bigint(1))])
            .await;
    }
    let seller = "seller_id=00000000-0000-0000-0000-000000000001";
    for (range, expected) in [
        ("", vec!["2018-01", "2018-02", "2018-03"]),
        ("&month_from=2018-02", vec!["2018-02", "2018-03"]),
        ("&month_to=2018-02", vec!["2018-01", "2018-02"]),
        ("&month_from=2018-02&month_to=2018-02", vec!["2018-02"]),
        ("&month_from=2018-03&month_to=2018-01", vec![]),
    ] {
        let answer = bed
            .ask("seller_sales", "of", &format!("{seller}{range}"))
            .await;
        assert_eq!(kit::column(&answer.unwrap(), "month"), expected, "{range}");
    }
}

#[tokio::test]
async fn a_range_that_is_required_needs_both_ends() {
    let mut model = std::sync::Arc::try_unwrap(kit::sales()).unwrap();
    model.queries[0].filters[1].optional = false;
    let model = std::sync::Arc::new(model);
    let bed = kit::bed(&[&model], Settings::default()).await;
    let _table = kit::served(&bed, &model).await;
    let seller = "seller_id=00000000-0000-0000-0000-000000000001";
    let refused = bed
        .ask("seller_sales", "of", &format!("{seller}&month_from=a"))
        .await;
    match refused {
        Err(QueryError::MissingParameter { name }) => assert_eq!(name, "month_to"),
        other => panic!("{other:?}"),
    }
}
