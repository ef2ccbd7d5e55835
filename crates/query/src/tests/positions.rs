//! Waiting for a position, and what is said about parked users.

use std::{sync::Arc, time::Duration};

use foldline_kernel::{Caller, LogId, Position, UserId};
use foldline_read_model::{Model, Value};
use foldline_tables::{
    Generation, GenerationNumber, SwitchError, TableError, TableReader, TableWriter, Tables,
};

use super::kit::{self, ANN, BOB, Bed, LONG, position, text, time, uuid};
use crate::{Answer, QueryError, Request, Settings};

const NEVER: Duration = Duration::from_secs(3600);

fn settings(wait_max: Duration, look_again: Duration) -> Settings {
    Settings {
        wait_max,
        look_again,
        ..Settings::default()
    }
}

async fn ask(bed: &Bed, at_least: &[Position]) -> Result<Answer, QueryError> {
    let request = kit::request("seller_sales", "top", "month=2018-01");
    let at_least = at_least.to_vec();
    bed.queries
        .answer(Request {
            at_least,
            ..request
        })
        .await
}

#[tokio::test]
async fn an_answer_says_what_it_has_absorbed() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    assert_eq!(ask(&bed, &[]).await.unwrap().positions, []);
    table.put(3, [uuid(1), text("2018-01")], &[]).await;
    table.put(3, [uuid(1), text("2018-01")], &[]).await;
    table.put(1, [uuid(1), text("2018-01")], &[]).await;
    let answer = ask(&bed, &[position(3, 2), position(1, 1)]).await.unwrap();
    assert_eq!(answer.positions, [position(1, 1), position(3, 2)]);
}

#[tokio::test]
async fn an_answer_about_one_user_speaks_of_that_users_lane() {
    let model = kit::orders();
    let bed = kit::bed(&[&model], Settings::default()).await;
    let mut table = kit::served(&bed, &model).await;
    for lane in 0..8 {
        table
            .put(lane, [uuid(u128::from(lane)), time(0), uuid(0)], &[])
            .await;
    }
    let answer = bed
        .ask_by(Caller::user(ANN), "orders_by_user", "mine", "")
        .await
        .unwrap();
    assert_eq!(answer.positions.len(), 1, "{:?}", answer.positions);
    let all = bed
        .ask("orders_by_user", "by_status", "status=x")
        .await
        .unwrap();
    assert_eq!(all.positions.len(), 8);
}

#[tokio::test]
async fn a_notice_wakes_a_waiting_query() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], settings(LONG, NEVER)).await;
    let mut table = kit::served(&bed, &model).await;
    let (queries, request) = (
        Arc::clone(&bed.queries),
        kit::request("seller_sales", "top", "month=2018-01"),
    );
    let waiting = tokio::spawn(async move {
        let at_least = vec![position(2, 2)];
        queries
            .answer(Request {
                at_least,
                ..request
            })
            .await
    });
    for _ in 0..2 {
        table
            .put(2, [uuid(1), text("2018-01")], &[(2, Value::Bigint(1))])
            .await;
        bed.notice.absorbed("seller_sales");
        bed.notice.absorbed("another");
    }
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(kit::column(&answer, "lines"), [2]);
}

#[tokio::test]
async fn without_a_notice_the_checkpoint_is_looked_at() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], settings(LONG, Duration::from_millis(1))).await;
    let mut table = kit::served(&bed, &model).await;
    let at_least = [position(2, 1)];
    let write = table.put(2, [uuid(1), text("2018-01")], &[(2, Value::Bigint(1))]);
    let (answer, _) = tokio::join!(ask(&bed, &at_least), write);
    assert_eq!(answer.unwrap().rows, 1);
}

#[tokio::test]
async fn what_cannot_be_absorbed_in_time_is_told_with_how_far_it_is_behind() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], settings(Duration::from_millis(500), NEVER)).await;
    let mut table = kit::served(&bed, &model).await;
    table.put(2, [uuid(1), text("2018-01")], &[]).await;
    let elsewhere: Position = "payments/2@99".parse().unwrap();
    let asked = [
        position(2, 1),
        position(2, 5),
        position(7, 3),
        elsewhere.clone(),
    ];
    match ask(&bed, &asked).await {
        Err(QueryError::Behind { model, behind }) => {
            assert_eq!(model, "seller_sales");
            let told: Vec<_> = behind
                .iter()
                .map(|b| (b.asked.clone(), b.events()))
                .collect();
            assert_eq!(told, [(position(2, 5), 4), (position(7, 3), 3)]);
        }
        other => panic!("{other:?}"),
    }
    // A context that does not feed the model is nothing to wait for.
    ask(&bed, &[elsewhere]).await.unwrap();
}

#[tokio::test]
async fn a_position_of_a_partition_that_is_not_there_is_no_reason_to_wait() {
    let model = kit::sales();
    let bed = kit::bed(&[&model], settings(LONG, NEVER)).await;
    let _table = kit::served(&bed, &model).await;
    let elsewhere: Position = "payments/8@1".parse().unwrap();
    for unknown in [position(8, 1), elsewhere] {
        let refused = ask(&bed, &[position(0, 0), unknown.clone()]).await;
        let Err(QueryError::UnknownPartition { position, lanes: 8 }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(position, unknown);
    }
}

/// Tables whose registry does not answer.
struct Stuck;

#[async_trait::async_trait]
impl Tables for Stuck {
    async fn generations(&self, _: &str) -> Result<Vec<Generation>, TableError> {
        std::future::pending().await
    }
    async fn create(&self, _: &Arc<Model>, _: LogId) -> Result<Generation, TableError> {
        unreachable!("nobody creates here")
    }
    async fn switch(
        &self,
        _: &str,
        _: Option<GenerationNumber>,
        _: GenerationNumber,
    ) -> Result<(), SwitchError> {
        unreachable!("nobody switches here")
    }
    async fn retire(&self, _: &str, _: GenerationNumber) -> Result<(), TableError> {
        unreachable!("nobody retires here")
    }
    async fn writer(
        &self,
        _: &Arc<Model>,
        _: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        unreachable!("nobody writes here")
    }
    async fn reader(
        &self,
        _: &Arc<Model>,
        _: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        unreachable!("there is nothing to read")
    }
}

#[tokio::test]
async fn one_bound_holds_for_the_look_at_the_registry_too() {
    let [short, shorter] = [60, 30].map(Duration::from_millis);
    let settings = Settings {
        read_max: short,
        ..settings(shorter, NEVER)
    };
    let queries = kit::queries(Arc::new(Stuck), &[&kit::sales()], settings);
    for (at_least, within) in [(vec![], short), (vec![position(0, 1)], shorter)] {
        let request = kit::request("seller_sales", "top", "month=2018-01");
        let begun = std::time::Instant::now();
        let asked = queries.answer(Request {
            at_least,
            ..request
        });
        let refused = tokio::time::timeout(LONG, asked).await.unwrap();
        let Err(QueryError::Unavailable { source, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(begun.elapsed() >= within);
        assert!(
            source.to_string().contains(&format!("{within:?}")),
            "{source}"
        );
    }
}

#[tokio::test]
async fn only_so_many_wait_at_once() {
    let model = kit::sales();
    let settings = Settings {
        waiting_max: 0,
        ..settings(LONG, NEVER)
    };
    let bed = kit::bed(&[&model], settings).await;
    let _table = kit::served(&bed, &model).await;
    let refused = ask(&bed, &[position(0, 1)]).await;
    assert!(
        matches!(refused, Err(QueryError::Unavailable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_parked_user_is_told_and_so_is_every_total_that_misses_one() {
    let (orders, sales) = (kit::orders(), kit::sales());
    let bed = kit::bed(&[&orders, &sales], Settings::default()).await;
    let mut list = kit::served(&bed, &orders).await;
    let mut sums = kit::served(&bed, &sales).await;
    let placed = [(3, text("placed"))];
    let row = |user: UserId| [Value::Uuid(user.0), time(0), uuid(1)];
    let before = list.put(0, row(ANN), &placed).await;
    let parked = list.park(0, ANN).await;
    let after = list.put(0, row(BOB), &placed).await;
    sums.park(4, ANN).await;
    sums.park(4, BOB).await;
    let mine = |user, at_least: &Position| {
        let request = kit::request("orders_by_user", "mine", "");
        let (caller, at_least) = (Caller::user(user), vec![at_least.clone()]);
        bed.queries.answer(Request {
            caller,
            at_least,
            ..request
        })
    };
    let answer = mine(ANN, &before).await.unwrap();
    let held_back = answer.held_back.clone().unwrap();
    assert_eq!(
        (held_back.users, held_back.since),
        (1, vec![parked.clone()])
    );
    assert_eq!(held_back.reason.as_deref(), Some("a sum overflows"));
    assert_eq!(kit::json(&answer)["parked"]["since"][0], parked.to_string());
    for at_least in [&parked, &after] {
        match mine(ANN, at_least).await {
            Err(QueryError::Parked { held_back, .. }) => {
                assert_eq!(held_back.since, std::slice::from_ref(&parked));
            }
            other => panic!("{other:?}"),
        }
    }
    // Nobody else is concerned, and everybody is told that a total misses somebody.
    assert_eq!(mine(BOB, &after).await.unwrap().held_back, None);
    let total = ask(&bed, &[]).await.unwrap();
    let held_back = total.held_back.clone().unwrap();
    assert_eq!((held_back.users, held_back.since.len()), (2, 1));
    assert_eq!(held_back.reason, None);
    assert!(
        !String::from_utf8(total.body)
            .unwrap()
            .contains(&ANN.to_string())
    );
}
