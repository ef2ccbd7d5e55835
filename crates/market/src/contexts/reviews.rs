//! What a buyer thought of an order: the context `reviews`, whose streams belong to buyers.
//!
//! A review is known by its id and its order together: the same text may be about several orders
//! (a buyer who ordered twice on one day answers once), and an order may have several reviews.
//! The order is looked up in the buyer's state in [`orders`](super::orders).

use std::collections::BTreeSet;

use foldline::kernel::{Decider, Situation, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::orders::Orders;
use crate::{OrderId, ReviewId, Text};

// Stored events: names and shapes are on disk for ever.

foldline::schema::stored_events! {
    /// What happens to reviews.
    #[derive(Clone, Debug, PartialEq)]
    pub enum ReviewEvent {
        "review.written.v1" => Written(Written),
    }
}

/// A buyer has reviewed an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// The review.
    pub review_id: ReviewId,
    /// The order it is about.
    pub order_id: OrderId,
    /// From 1, the worst, to 5, the best.
    pub score: u8,
    /// Its heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The distinct sellers of the order, in the sequence in which its lines first name them.
    pub seller_ids: Vec<UserId>,
    /// When the order had been placed.
    pub placed_at: Timestamp,
}

// State.

/// Which reviews the buyer has written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReviewsState {
    written: BTreeSet<(ReviewId, OrderId)>,
}

// Commands.

foldline::kernel::commands! {
    /// What a buyer's reviews can be asked to do.
    #[derive(Clone, Debug)]
    pub enum ReviewCommand {
        "write" => Write(Write),
    }
}

/// Reviews an order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The review.
    pub review_id: ReviewId,
    /// The order it is about, one of this buyer's.
    pub order_id: OrderId,
    /// From 1, the worst, to 5, the best.
    pub score: i64,
    /// Its heading.
    pub title: Option<Text<1, 200>>,
    /// What it says.
    pub message: Option<Text<1, 5000>>,
}

// Rejections: the codes are what clients match on.

foldline::kernel::rejections! {
    /// Why the rules say no.
    #[derive(Clone, PartialEq)]
    pub enum ReviewRejection {
        Impossible "score-out-of-range" => ScoreOutOfRange { score: i64 }
            "a score is 1 to 5, not {score}",
        Conflict "unknown-order" => UnknownOrder { order_id: OrderId }
            "this user has no order {order_id}",
        Conflict "review-already-written" => AlreadyWritten { review_id: ReviewId, order_id: OrderId }
            "review {review_id} of order {order_id} is already written",
    }
}

// Rules.

/// The context `reviews`.
#[derive(Debug)]
pub struct Reviews;

impl Decider for Reviews {
    const CONTEXT: &'static str = "reviews";
    const STATE_REVISION: u32 = 1;

    type State = ReviewsState;
    type Command = ReviewCommand;
    type Event = ReviewEvent;
    type Rejection = ReviewRejection;

    fn decide(
        state: &ReviewsState,
        ReviewCommand::Write(write): ReviewCommand,
        situation: &Situation<'_>,
    ) -> Result<Vec<ReviewEvent>, ReviewRejection> {
        let Write {
            review_id,
            order_id,
            score,
            ..
        } = write;
        let score = stars(score).ok_or(ReviewRejection::ScoreOutOfRange { score })?;
        let order = situation.state_of::<Orders>().order(order_id);
        let order = order.ok_or(ReviewRejection::UnknownOrder { order_id })?;
        if state.written.contains(&(review_id, order_id)) {
            return Err(ReviewRejection::AlreadyWritten {
                review_id,
                order_id,
            });
        }
        let written = Written {
            review_id,
            order_id,
            score,
            title: write.title.map(Text::into_inner),
            message: write.message.map(Text::into_inner),
            seller_ids: order.seller_ids().to_vec(),
            placed_at: order.placed_at(),
        };
        Ok(vec![written.into()])
    }

    fn evolve(state: &mut ReviewsState, ReviewEvent::Written(written): &ReviewEvent) {
        state.written.insert((written.review_id, written.order_id));
    }
}

fn stars(score: i64) -> Option<u8> {
    u8::try_from(score)
        .ok()
        .filter(|score| (1..=5).contains(score))
}

#[cfg(test)]
mod tests;
