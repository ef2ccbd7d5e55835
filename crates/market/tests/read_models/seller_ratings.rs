//! `seller_ratings`: how each seller's orders were liked.

use serde_json::json;

use crate::{View, facts::*};

#[test]
fn a_review_counts_for_every_seller_of_its_order() {
    View::named("seller_ratings")
        .given([
            reviewed(1, ORDER, 5, &[SELLER, OTHER_SELLER]),
            reviewed(2, OTHER_ORDER, 2, &[SELLER]).by(BRUNO),
        ])
        .then_rows(2)
        .row(json!({ "seller_id": SELLER }))
        .then(json!({ "reviews": 2, "score_sum": 7 }))
        .row(json!({ "seller_id": OTHER_SELLER }))
        .then(json!({ "reviews": 1, "score_sum": 5 }));
}

#[test]
fn several_reviews_of_one_order_all_count() {
    View::named("seller_ratings")
        .given([
            reviewed(1, ORDER, 1, &[SELLER]),
            reviewed(2, ORDER, 5, &[SELLER]),
        ])
        .row(json!({ "seller_id": SELLER }))
        .then(json!({ "reviews": 2, "score_sum": 6 }));
}

#[test]
fn the_mean_is_the_sum_of_the_scores_by_the_number_of_reviews() {
    let model = View::named("seller_ratings").model;
    let [mean] = model.derived.as_slice() else {
        panic!("one value is computed when read: {:?}", model.derived);
    };
    let name = |column: usize| model.columns[column].name.as_ref();
    assert_eq!(mean.name.as_ref(), "mean");
    assert_eq!(
        (name(mean.dividend), name(mean.divisor)),
        ("score_sum", "reviews")
    );
}
