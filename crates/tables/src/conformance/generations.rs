//! Generations: made, switched to, kept, retired.

use std::sync::Arc;

use foldline_read_model::{Model, Value};

use super::{Stores, kit, models};
use crate::{GenerationNumber, GenerationState, SwitchError, TableError, Tables};

async fn states(tables: &Arc<dyn Tables>, model: &str) -> Vec<(u32, GenerationState)> {
    let generations = tables.generations(model).await.expect("generations");
    let state = |generation: &crate::Generation| (generation.number.0, generation.state);
    generations.iter().map(state).collect()
}

async fn create(tables: &Arc<dyn Tables>, model: &Arc<Model>) -> GenerationNumber {
    let made = tables.create(model, kit::LOG).await;
    made.expect("a new generation").number
}

/// A generation remembers its model, revision, definition and log.
pub async fn a_generation_keeps_what_it_was_made_of(stores: &Stores) {
    let model = models::orders("kept");
    assert!(states(&stores.first, "kept").await.is_empty());
    let made = stores.first.create(&model, kit::LOG).await.expect("made");
    let listed = stores.second.generations("kept").await.expect("listed");
    assert_eq!(listed, std::slice::from_ref(&made));
    assert_eq!(made.number, GenerationNumber(1));
    assert_eq!(made.revision, model.revision);
    assert_eq!(made.definition, model.definition.as_ref());
    assert_eq!(
        (made.log_id, made.state),
        (kit::LOG, GenerationState::Building)
    );
    let reader = stores
        .second
        .reader(&model, made.number)
        .await
        .expect("a reader");
    assert_eq!(
        reader.absorbed().await.expect("nothing"),
        crate::Absorbed::default()
    );
    assert!(states(&stores.first, "another").await.is_empty());
}

/// A number that has been retired is not given again, also when it was the last one.
pub async fn numbers_are_never_given_twice(stores: &Stores) {
    let model = models::orders("numbers");
    assert_eq!(create(&stores.first, &model).await.0, 1);
    assert_eq!(create(&stores.second, &model).await.0, 2);
    let retired = stores.first.retire("numbers", GenerationNumber(2)).await;
    retired.expect("it does not serve");
    assert_eq!(create(&stores.second, &model).await.0, 3);
    use GenerationState::Building;
    assert_eq!(
        states(&stores.first, "numbers").await,
        [(1, Building), (3, Building)]
    );
}

/// One of them serves at every moment, and the one that served before is kept.
pub async fn switching_is_seen_whole(stores: &Stores) {
    use GenerationState::{Building, Previous, Serving};
    let model = models::orders("switched");
    let (one, two) = (
        create(&stores.first, &model).await,
        create(&stores.first, &model).await,
    );
    switch(&stores.first, "switched", None, one).await;
    assert_eq!(
        states(&stores.second, "switched").await,
        [(1, Serving), (2, Building)]
    );
    let watching = tokio::spawn({
        let tables = Arc::clone(&stores.second);
        async move {
            for _ in 0..200 {
                let states = states(&tables, "switched").await;
                let serving = states.iter().filter(|(_, state)| *state == Serving);
                assert_eq!(serving.count(), 1, "{states:?}");
            }
        }
    });
    for _ in 0..10 {
        switch(&stores.first, "switched", Some(one), two).await;
        switch(&stores.first, "switched", Some(two), one).await;
    }
    watching
        .await
        .expect("the watcher saw one serve at every moment");
    switch(&stores.second, "switched", Some(one), two).await;
    assert_eq!(
        states(&stores.first, "switched").await,
        [(1, Previous), (2, Serving)]
    );
    let nowhere = stores
        .first
        .switch("switched", Some(two), GenerationNumber(9))
        .await;
    assert!(
        matches!(
            nowhere,
            Err(SwitchError::Table(TableError::NoGeneration { .. }))
        ),
        "{nowhere:?}"
    );
    assert_eq!(
        states(&stores.first, "switched").await,
        [(1, Previous), (2, Serving)]
    );
}

/// A switch takes place only from what the caller took for the serving one; what serves already
/// is switched to by everybody who means it.
pub async fn a_switch_that_was_overtaken_changes_nothing(stores: &Stores) {
    use GenerationState::{Building, Previous, Serving};
    let model = models::orders("overtaken");
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(create(&stores.first, &model).await);
    }
    let [one, two, three] = numbers[..] else {
        unreachable!("three were made")
    };
    let overtaken = async |tables: &Arc<dyn Tables>, from, to, by: Option<GenerationNumber>| {
        let before = states(tables, "overtaken").await;
        match tables.switch("overtaken", from, to).await {
            Err(SwitchError::Overtaken { serving, .. }) => assert_eq!(serving, by),
            other => panic!("expected to be overtaken by {by:?}, not {other:?}"),
        }
        assert_eq!(states(tables, "overtaken").await, before);
    };
    overtaken(&stores.first, Some(one), two, None).await;
    switch(&stores.first, "overtaken", None, one).await;
    overtaken(&stores.second, None, two, Some(one)).await;
    switch(&stores.first, "overtaken", Some(one), two).await;
    overtaken(&stores.second, Some(one), three, Some(two)).await;
    overtaken(&stores.second, Some(three), one, Some(two)).await;
    // Whoever meant the same, or lost the answer, is told that it is so.
    switch(&stores.second, "overtaken", Some(one), two).await;
    switch(&stores.second, "overtaken", Some(two), two).await;
    assert_eq!(
        states(&stores.first, "overtaken").await,
        [(1, Previous), (2, Serving), (3, Building)]
    );
}

/// Of two that switch from the same one at the same moment, to different ones, one is overtaken.
pub async fn of_two_switches_at_once_one_is_overtaken(stores: &Stores) {
    let model = models::orders("at_once");
    let one = create(&stores.first, &model).await;
    switch(&stores.first, "at_once", None, one).await;
    let mut serving = one;
    for _ in 0..20 {
        let (a, b) = (
            create(&stores.first, &model).await,
            create(&stores.first, &model).await,
        );
        let (to_a, to_b) = futures::future::join(
            stores.first.switch("at_once", Some(serving), a),
            stores.second.switch("at_once", Some(serving), b),
        )
        .await;
        let (winner, loser, lost) = match (to_a, to_b) {
            (Ok(()), lost) => (a, b, lost),
            (lost, Ok(())) => (b, a, lost),
            neither => panic!("{neither:?}"),
        };
        assert!(
            matches!(&lost, Err(SwitchError::Overtaken { serving, .. }) if *serving == Some(winner)),
            "{lost:?}"
        );
        for number in [serving, loser] {
            let retired = stores.first.retire("at_once", number).await;
            retired.expect("it does not serve");
        }
        serving = winner;
    }
}

async fn switch(
    tables: &Arc<dyn Tables>,
    model: &str,
    from: Option<GenerationNumber>,
    to: GenerationNumber,
) {
    let switched = tables.switch(model, from, to).await;
    switched.expect("a switch from what serves");
}

/// Retiring the serving generation is refused; it goes on serving.
pub async fn the_serving_one_is_not_retired(stores: &Stores) {
    let model = models::orders("serving");
    let number = create(&stores.first, &model).await;
    switch(&stores.first, "serving", None, number).await;
    let refused = stores.second.retire("serving", number).await;
    assert!(
        matches!(refused, Err(TableError::Serves { .. })),
        "{refused:?}"
    );
    let reader = stores.first.reader(&model, number).await.expect("a reader");
    reader.count().await.expect("it is still there");
}

/// Whoever has a retired generation open is told that it is gone, and writes nothing more.
pub async fn a_retired_generation_is_gone_for_all(stores: &Stores) {
    let model = models::sales("retired");
    let (number, mut writer) = kit::fresh(&stores.first, &model).await;
    let key = kit::key([kit::uuid(1), kit::text("m")]);
    let sold = |at| {
        (
            key.clone(),
            kit::change(&model, at, &[(2, Value::Bigint(1))]),
        )
    };
    writer
        .commit(&kit::batch(&model, 0, 0, 1, [sold(1)]))
        .await
        .expect("a commit");
    let reader = stores
        .second
        .reader(&model, number)
        .await
        .expect("a reader");
    reader.count().await.expect("it is there");
    stores
        .first
        .retire("retired", number)
        .await
        .expect("it does not serve");
    let gone = |error: &TableError| matches!(error, TableError::NoGeneration { .. });
    let select = kit::select(&[], &[]);
    let error = reader
        .select(&select)
        .await
        .expect_err("a retired generation");
    assert!(gone(&error), "{error:?}");
    let error = reader.absorbed().await.expect_err("a retired generation");
    assert!(gone(&error), "{error:?}");
    let written = writer.commit(&kit::batch(&model, 0, 1, 2, [sold(2)])).await;
    written.expect_err("nothing is written into a retired generation");
    for tables in [&stores.first, &stores.second] {
        let error = tables
            .reader(&model, number)
            .await
            .err()
            .expect("no reader");
        assert!(gone(&error), "{error:?}");
        let error = tables
            .writer(&model, number)
            .await
            .err()
            .expect("no writer");
        assert!(gone(&error), "{error:?}");
        let error = tables
            .retire("retired", number)
            .await
            .expect_err("gone already");
        assert!(gone(&error), "{error:?}");
    }
}
