//! Rows as clients see them, and cursors.

use foldline_read_model::Value;

use super::kit::{self, Bed, Table, text, time, uuid};
use crate::{QueryError, Settings};

/// Sellers 1 to `sellers`, whose revenue repeats, in one month.
async fn sales(sellers: u128) -> (Bed, Table) {
    let model = kit::sales();
    let bed = kit::bed(&[&model, &kit::things()], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    for seller in 1..=sellers {
        let revenue = Value::Bigint(100 * (seller as i64 % 3));
        let operands = [(2, Value::Bigint(seller as i64 % 2)), (3, revenue)];
        table
            .put(0, [uuid(seller), text("2018-01")], &operands)
            .await;
    }
    (bed, table)
}

#[tokio::test]
async fn rows_are_json_in_the_declared_order_of_fields() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    let operands = [
        (2, Value::Bigint(4)),
        (3, Value::Bigint(10)),
        (4, time(1_500_000)),
    ];
    table.put(0, [uuid(0xab), text("2018-01")], &operands).await;
    table
        .put(0, [uuid(0xac), text("a\"b")], &[(3, Value::Bigint(-1))])
        .await;
    let answer = bed
        .ask("seller_sales", "top", "month=2018-01")
        .await
        .unwrap();
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        "{\"rows\":[{\"seller_id\":\"00000000-0000-0000-0000-0000000000ab\",\"month\":\"2018-01\",\
         \"lines\":4,\"revenue_cents\":10,\"last_at\":\"1970-01-01T00:00:01.500000Z\",\
         \"first_at\":null,\"mean_cents\":2.5}]}"
    );
    let answer = bed
        .ask("seller_sales", "top", "month=a\"b&fields=mean_cents, month")
        .await;
    assert_eq!(
        String::from_utf8(answer.unwrap().body).unwrap(),
        r#"{"rows":[{"month":"a\"b","mean_cents":null}]}"#
    );
    let answer = bed
        .ask("seller_sales", "top", "month=2019-01")
        .await
        .unwrap();
    assert_eq!(answer.body, br#"{"rows":[]}"#);
}

#[tokio::test]
async fn cursors_lead_through_every_row_once_in_every_order() {
    let (bed, _table) = sales(23).await;
    for order in ["first", "mean"] {
        let all = format!("month=2018-01&order={order}");
        let all = bed.ask("seller_sales", "top", &all).await.unwrap();
        assert_eq!(all.next.is_some(), all.rows < 23);
        let all = format!("month=2018-01&order={order}&limit=1000");
        let expected = bed.ask("seller_sales", "top", &all).await.unwrap();
        assert_eq!((expected.rows, &expected.next), (23, &None));
        for limit in [1, 2, 7, 22, 23] {
            let first = format!("month=2018-01&order={order}&limit={limit}");
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = match &cursor {
                    Some(cursor) => format!("{first}&cursor={cursor}"),
                    None => first.clone(),
                };
                let answer = bed.ask("seller_sales", "top", &page).await.unwrap();
                assert!(answer.rows <= limit);
                assert_eq!(kit::json(&answer)["next"].as_str(), answer.next.as_deref());
                found.extend(kit::column(&answer, "seller_id"));
                cursor = answer.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(
                found,
                kit::column(&expected, "seller_id"),
                "{order} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_query_filters_and_order() {
    let (bed, table) = sales(5).await;
    let first = bed
        .ask("seller_sales", "top", "month=2018-01&limit=2")
        .await;
    let cursor = first.unwrap().next.unwrap();
    let with = |model: &'static str, query: &'static str, parameters: &str| {
        let parameters = format!("{parameters}&cursor={cursor}");
        let bed = &bed;
        async move { bed.ask(model, query, &parameters).await }
    };
    // How many rows and which fields may change from page to page.
    let rest = with("seller_sales", "top", "month=2018-01&limit=9&fields=lines").await;
    assert_eq!(rest.unwrap().rows, 3);
    for (query, parameters) in [
        ("top", "month=2018-02"),
        ("top", "month=2018-01&order=mean"),
        ("best", "limit=2"),
    ] {
        let refused = with("seller_sales", query, parameters).await;
        assert!(
            matches!(refused, Err(QueryError::CursorOfAnotherQuery)),
            "{refused:?}"
        );
    }
    for cursor in ["", "x", "e30", "eyJnIjoxfQ", "%%%", &"A".repeat(20_000)] {
        let parameters = format!("month=2018-01&cursor={cursor}");
        let refused = bed.ask("seller_sales", "top", &parameters).await;
        assert!(
            matches!(refused, Err(QueryError::MalformedCursor)),
            "{refused:?}"
        );
    }
    drop(table);
}

#[tokio::test]
async fn the_tag_changes_with_the_answer_and_with_nothing_else() {
    let (bed, mut table) = sales(3).await;
    let ask = async || {
        let answer = bed.ask("seller_sales", "top", "month=2018-01").await;
        answer.unwrap().etag
    };
    let before = ask().await;
    table.put(1, [uuid(1), text("2018-02")], &[]).await;
    assert_eq!(ask().await, before, "another month");
    table
        .put(1, [uuid(1), text("2018-01")], &[(2, Value::Bigint(1))])
        .await;
    assert_ne!(ask().await, before);
    assert!(before.starts_with("g1-"), "{before}");
}

#[tokio::test]
async fn words_are_searched_among_what_is_listed() {
    let model = kit::things();
    let bed = kit::bed(&[&model], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    for (id, name, listed) in [
        (1, "Relógio de Parede", true),
        (2, "Relógio digital", true),
        (3, "Relógio de parede", false),
    ] {
        let operands = [(1, text(name)), (5, Value::Bool(listed))];
        table.put(0, [Value::Bigint(id)], &operands).await;
    }
    for (words, expected) in [
        ("relogio", vec![1, 2]),
        ("PAREDE relogio", vec![1]),
        ("", vec![1, 2]),
        ("  ", vec![1, 2]),
        ("par", vec![]),
    ] {
        let answer = bed
            .ask("products", "search", &format!("text={words}"))
            .await;
        assert_eq!(kit::column(&answer.unwrap(), "id"), expected, "{words:?}");
    }
    let refused = bed.ask("products", "search", "text=?!").await;
    assert!(
        matches!(refused, Err(QueryError::MalformedParameter { .. })),
        "{refused:?}"
    );
}
