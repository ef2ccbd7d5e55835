//! Generations: made, switched to, kept, retired.

use std::sync::Arc;

use foldline_read_model::{Model, Value};

use super::{Stores, kit, models};
use crate::{GenerationNumber, GenerationState, TableError, Tables};

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
    stores
        .first
        .switch("switched", one)
        .await
        .expect("a switch");
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
        stores
            .first
            .switch("switched", two)
            .await
            .expect("a switch");
        stores
            .first
            .switch("switched", one)
            .await
            .expect("and back");
    }
    watching
        .await
        .expect("the watcher saw one serve at every moment");
    stores
        .second
        .switch("switched", two)
        .await
        .expect("a switch");
    stores
        .second
        .switch("switched", two)
        .await
        .expect("no change");
    assert_eq!(
        states(&stores.first, "switched").await,
        [(1, Previous), (2, Serving)]
    );
    let nowhere = stores.first.switch("switched", GenerationNumber(9)).await;
    assert!(
        matches!(nowhere, Err(TableError::NoGeneration { .. })),
        "{nowhere:?}"
    );
    assert_eq!(
        states(&stores.first, "switched").await,
        [(1, Previous), (2, Serving)]
    );
}

/// Retiring the serving generation is refused; it goes on serving.
pub async fn the_serving_one_is_not_retired(stores: &Stores) {
    let model = models::orders("serving");
    let number = create(&stores.first, &model).await;
    stores
        .first
        .switch("serving", number)
        .await
        .expect("a switch");
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
