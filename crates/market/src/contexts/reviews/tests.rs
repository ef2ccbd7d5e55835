//! The rules of reviews.

use foldline::kernel::spec::{Given, given};
use foldline::kernel::{Commands, Rejection, RejectionKind};
use uuid::Uuid;

use super::*;
use crate::contexts::examples::{ORDER, OTHER_ORDER, OTHER_SELLER, SELLER, monday, placed};
use crate::contexts::orders::Placed;

const REVIEW: ReviewId = ReviewId(Uuid::from_u128(0x2A));

/// A buyer who placed two orders, and the reviews so far.
fn given_placed_and(reviews: impl IntoIterator<Item = ReviewEvent>) -> Given<Reviews> {
    let other = Placed {
        order_id: OTHER_ORDER,
        ..placed()
    };
    given(reviews).and_in::<Orders>([placed().into(), other.into()])
}

fn write(score: i64) -> Write {
    Write {
        review_id: REVIEW,
        order_id: ORDER,
        score,
        title: None,
        message: Some("Muito bom".try_into().unwrap()),
    }
}

fn written(score: u8) -> Written {
    Written {
        review_id: REVIEW,
        order_id: ORDER,
        score,
        title: None,
        message: Some("Muito bom".into()),
        seller_ids: vec![OTHER_SELLER, SELLER],
        placed_at: monday(),
    }
}

#[test]
fn a_review_names_the_sellers_of_the_order() {
    given_placed_and([])
        .when(write(5))
        .then([written(5).into()]);
    given_placed_and([])
        .when(write(1))
        .then([written(1).into()]);
}

#[test]
fn a_score_is_one_to_five() {
    for score in [0, 6, -1, 256 + 3, i64::MAX] {
        given_placed_and([])
            .when(write(score))
            .then_rejected("score-out-of-range");
    }
    let out_of_range = ReviewRejection::ScoreOutOfRange { score: 0 };
    assert_eq!(out_of_range.kind(), RejectionKind::Impossible);
}

#[test]
fn a_review_of_an_order_is_written_once() {
    given_placed_and([written(5).into()])
        .when(write(1))
        .then_rejected("review-already-written");
}

#[test]
fn a_review_may_be_about_several_orders_and_an_order_have_several_reviews() {
    let of_the_other = Written {
        order_id: OTHER_ORDER,
        ..written(5)
    };
    let another = Written {
        review_id: ReviewId(Uuid::from_u128(0x2B)),
        ..written(3)
    };
    given_placed_and([of_the_other.into(), another.into()])
        .when(write(4))
        .then([written(4).into()]);
}

#[test]
fn a_review_is_about_an_order_of_this_user() {
    given::<Reviews>([])
        .and_in::<Orders>([])
        .when(write(4))
        .then_rejected("unknown-order");
}

#[test]
fn the_state_survives_a_snapshot() {
    let state = given::<Reviews>([written(5).into()]).state();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ReviewsState>(&json).unwrap(), state);
}

#[test]
fn a_body_that_is_no_review_is_pointed_at() {
    let long = "x".repeat(5001);
    for (more, pointer) in [
        (r#""score":4.5"#.to_owned(), "/score"),
        (r#""score":"4""#.to_owned(), "/score"),
        (format!(r#""score":4,"message":"{long}""#), "/message"),
        (r#""score":4,"stars":4"#.to_owned(), "/stars"),
    ] {
        let body = format!(r#"{{"review_id":"{REVIEW}","order_id":"{ORDER}",{more}}}"#);
        let wrong = ReviewCommand::decode("write", body.as_bytes());
        assert_eq!(wrong.unwrap().unwrap_err().pointer, pointer, "{more:.40}");
    }
}
