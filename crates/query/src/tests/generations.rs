//! Switches, rollbacks and retirements, as queries see them.

use std::{sync::Arc, time::Duration};

use foldline_read_model::{Revision, Value};
use foldline_tables::{GenerationNumber, GenerationState, Tables};

use super::kit::{self, Bed, Table, text, uuid};
use crate::{QueryError, Settings};

/// A registry that is asked every time.
fn at_once() -> Settings {
    Settings {
        registry_age_max: Duration::ZERO,
        ..Settings::default()
    }
}

async fn fill(table: &mut Table, sellers: u128, lines: i64) {
    for seller in 1..=sellers {
        let operands = [(2, Value::Bigint(lines))];
        table
            .put(0, [uuid(seller), text("2018-01")], &operands)
            .await;
    }
}

async fn lines(bed: &Bed, parameters: &str) -> Vec<serde_json::Value> {
    let parameters = format!("month=2018-01{parameters}");
    let answer = bed.ask("seller_sales", "top", &parameters).await.unwrap();
    kit::column(&answer, "lines")
}

#[tokio::test]
async fn nothing_serves_until_it_is_switched_to() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], at_once()).await;
    let mut table = kit::table(&bed, &model).await;
    fill(&mut table, 1, 1).await;
    let refused = bed.ask("seller_sales", "top", "month=2018-01").await;
    assert!(
        matches!(refused, Err(QueryError::NotReady { .. })),
        "{refused:?}"
    );
    bed.tables
        .switch("seller_sales", None, table.number)
        .await
        .unwrap();
    assert_eq!(lines(&bed, "").await, [1]);
}

#[tokio::test]
async fn a_cursor_stays_with_its_generation_until_that_is_retired() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], at_once()).await;
    let mut old = kit::served(&bed, &model).await;
    fill(&mut old, 3, 1).await;
    let first = bed
        .ask("seller_sales", "top", "month=2018-01&limit=1")
        .await
        .unwrap();
    assert_eq!(first.generation, GenerationNumber(1));
    let mut new = kit::served(&bed, &model).await;
    fill(&mut new, 3, 2).await;
    assert_eq!(lines(&bed, "&limit=1").await, [2]);
    let rest = format!("&cursor={}", first.next.unwrap());
    assert_eq!(lines(&bed, &rest).await, [1, 1]);
    bed.tables.retire("seller_sales", old.number).await.unwrap();
    let parameters = format!("month=2018-01{rest}");
    let refused = bed.ask("seller_sales", "top", &parameters).await;
    assert!(
        matches!(refused, Err(QueryError::CursorRetired)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_generation_retired_behind_its_back_is_found_out_at_once() {
    let model = kit::sales();
    let settings = Settings {
        registry_age_max: Duration::from_secs(3600),
        ..Settings::default()
    };
    let bed = kit::bed(&[&model], settings).await;
    let mut old = kit::served(&bed, &model).await;
    fill(&mut old, 1, 1).await;
    assert_eq!(lines(&bed, "").await, [1]);
    let first = bed
        .ask("seller_sales", "top", "month=2018-01&limit=1")
        .await
        .unwrap();
    assert_eq!(first.next, None);
    let mut new = kit::served(&bed, &model).await;
    fill(&mut new, 2, 2).await;
    assert_eq!(
        lines(&bed, "").await,
        [1],
        "the registry is believed for an hour"
    );
    bed.tables.retire("seller_sales", old.number).await.unwrap();
    assert_eq!(lines(&bed, "").await, [2, 2]);
}

#[tokio::test]
async fn an_older_revision_answers_by_its_own_definition() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], at_once()).await;
    let mut older = Arc::try_unwrap(kit::sales()).unwrap();
    older.revision = Revision("older".into());
    let mut older = kit::served(&bed, &Arc::new(older)).await;
    fill(&mut older, 1, 1).await;
    let seller = "seller_id=00000000-0000-0000-0000-000000000001";
    let answer = bed.ask("seller_sales", "formerly", seller).await.unwrap();
    assert_eq!(answer.rows, 1);
    let refused = bed.ask("seller_sales", "of", seller).await;
    assert!(
        matches!(refused, Err(QueryError::UnknownQuery { .. })),
        "{refused:?}"
    );
    let mut broken = Arc::try_unwrap(kit::sales()).unwrap();
    broken.revision = Revision("oldest".into());
    broken.definition = "".into();
    kit::served(&bed, &Arc::new(broken)).await;
    let refused = bed.ask("seller_sales", "of", seller).await;
    assert!(
        matches!(refused, Err(QueryError::Corrupt { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_overview_has_every_generation() {
    let model = kit::sales();
    let bed = kit::bed(&[&model, &kit::things()], at_once()).await;
    let mut old = kit::served(&bed, &model).await;
    fill(&mut old, 3, 1).await;
    let mut new = kit::served(&bed, &model).await;
    fill(&mut new, 2, 1).await;
    new.park(5, kit::ANN).await;
    let overviews = bed.queries.overviews().await.unwrap();
    let names: Vec<_> = overviews
        .iter()
        .map(|one| one.model.name.as_ref())
        .collect();
    assert_eq!(names, ["products", "seller_sales"]);
    assert!(overviews[0].generations.is_empty());
    let [first, second] = &overviews[1].generations[..] else {
        panic!("{overviews:?}");
    };
    assert_eq!(
        (first.rows, first.generation.state),
        (3, GenerationState::Previous)
    );
    assert_eq!(
        (second.rows, second.generation.state),
        (2, GenerationState::Serving)
    );
    assert_eq!(second.absorbed.checkpoints.len(), 2);
    assert_eq!(second.absorbed.parked[0].user, kit::ANN);
    let refused = bed.queries.overview("nothing").await;
    assert!(
        matches!(refused, Err(QueryError::UnknownModel { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn queries_that_change_are_answered_at_once_and_by_the_same_generation() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    fill(&mut table, 2, 1).await;
    assert_eq!(lines(&bed, "").await, [1, 1]);
    let mut changed = Arc::try_unwrap(kit::sales()).unwrap();
    changed.queries[1].name = "best".into();
    bed.queries.replace_model(Arc::new(changed)).unwrap();
    let best = bed.ask("seller_sales", "best", "month=2018-01").await;
    assert_eq!(best.unwrap().generation, table.number);
    let gone = bed.ask("seller_sales", "top", "month=2018-01").await;
    let Err(QueryError::UnknownQuery { known, .. }) = gone else {
        panic!("{gone:?}");
    };
    assert!(known.iter().any(|name| name == "best"), "{known:?}");
    let unknown = bed.queries.replace_model(kit::things());
    assert!(
        matches!(unknown, Err(QueryError::UnknownModel { .. })),
        "{unknown:?}"
    );
}

/// The generation that was replaced goes on and comes to be ahead of the one that replaced it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_all_the_time_never_sees_an_older_state() {
    const SWITCHES: usize = 12;
    let model = kit::sales();
    let settings = Settings {
        registry_age_max: Duration::from_secs(3600),
        ..Settings::default()
    };
    let bed = kit::bed(&[&model], settings).await;
    let mut serving = kit::served(&bed, &model).await;
    fill(&mut serving, 1, 1).await;
    let (done, readers) = (tokio::sync::watch::Sender::new(false), 4);
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..readers {
        let (queries, done) = (Arc::clone(&bed.queries), done.subscribe());
        reading.spawn(async move {
            let (mut last, mut generations) = (0, std::collections::BTreeSet::new());
            while !*done.borrow() {
                let request = kit::request("seller_sales", "top", "month=2018-01");
                let answer = queries.answer(request).await.unwrap();
                let now = answer.positions[0].sequence.0;
                assert!(now >= last, "{now} after {last}, {:?}", answer.generation);
                last = now;
                generations.insert(answer.generation);
            }
            generations.len()
        });
    }
    let mut at = 1;
    for _ in 0..SWITCHES {
        let mut new = kit::table(&bed, &model).await;
        fill(&mut new, at, 1).await;
        // As a supervisor does: nothing is committed between the comparison and the notice.
        let from = Some(serving.number);
        let switched = bed.tables.switch("seller_sales", from, new.number).await;
        switched.unwrap();
        bed.notice.switched("seller_sales");
        fill(&mut serving, 5, 1).await;
        fill(&mut new, 2, 1).await;
        bed.tables
            .retire("seller_sales", serving.number)
            .await
            .unwrap();
        (serving, at) = (new, at + 2);
    }
    done.send_replace(true);
    while let Some(generations) = reading.join_next().await {
        assert!(generations.unwrap() > SWITCHES / 3);
    }
}
