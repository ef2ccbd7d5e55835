//! What happened: orders of 100,000 buyers, each placed, paid, sent, received and reviewed.
//!
//! ```text
//!   moment        0   1   2   3   …   2000   …   9000   …   12000
//!   order 0       placed  paid    approved   shipped   delivered   reviewed
//!   order 1           placed  paid    …
//! ```
//!
//! Everything follows from numbers alone, so the same history comes out every time.

use foldline_kernel::{Timestamp, UserId};
use market::{
    Currency, OrderId, PaymentId, ProductId, ReviewId,
    contexts::{
        orders::{Approved, Delivered, OrderEvent, Placed, PlacedLine, Shipped},
        payments::{Captured, PaymentEvent},
        reviews::{ReviewEvent, Written},
    },
};
use uuid::Uuid;

const USERS: u64 = 100_000;
const SELLERS: u64 = 3_000;
const PRODUCTS: u64 = 30_000;
/// 2025-01-01, in microseconds.
const BEGIN_MICROS: i64 = 1_735_689_600_000_000;
/// The whole history takes a year, so that sums by month have twelve of them.
const YEAR_MICROS: i64 = 365 * 86_400_000_000;
/// What happens to each order, and how many orders later.
const STEPS: [(Step, u64); 6] = [
    (Step::Place, 0),
    (Step::Capture, 1),
    (Step::Approve, 3),
    (Step::Ship, 2_000),
    (Step::Deliver, 9_000),
    (Step::Review, 12_000),
];

#[derive(Clone, Copy)]
enum Step {
    Place,
    Capture,
    Approve,
    Ship,
    Deliver,
    Review,
}

/// One thing that happened to one user.
pub(crate) struct Happening {
    /// The user's number.
    pub(crate) user: u64,
    pub(crate) time: Timestamp,
    pub(crate) what: What,
}

/// The event, by context.
pub(crate) enum What {
    Order(OrderEvent),
    Payment(PaymentEvent),
    Review(ReviewEvent),
}

/// Returns at least as many happenings as events are wanted, in order.
pub(crate) fn history(events: u64) -> impl Iterator<Item = Happening> {
    let orders = events.div_ceil(STEPS.len() as u64);
    let [.., (_, latest)] = STEPS;
    (0..orders + latest).flat_map(move |moment| {
        let due = STEPS.into_iter().filter_map(move |(step, later)| {
            let number = moment.checked_sub(later)?;
            (number < orders).then_some((step, number))
        });
        due.map(move |(step, number)| happening(step, number, moment, orders + latest))
    })
}

/// Returns a user's id.
pub(crate) fn user(number: u64) -> UserId {
    UserId(uuid("user", number))
}

/// Returns an id that follows from a kind and a number.
pub(crate) fn uuid(kind: &str, number: u64) -> Uuid {
    let kind = kind
        .bytes()
        .fold(0, |sum: u64, byte| mix(sum ^ u64::from(byte)));
    let (high, low) = (mix(kind ^ number), mix(mix(kind) ^ number));
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): numbers that look random.
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn happening(step: Step, number: u64, moment: u64, moments: u64) -> Happening {
    let order_id = OrderId(uuid("order", number));
    let (placed_at, time) = (time(number, moments), time(moment, moments));
    let what = match step {
        Step::Place => What::Order(placed(number, placed_at).into()),
        Step::Capture => What::Payment(captured(number, placed_at, time).into()),
        Step::Approve => What::Order(
            Approved {
                order_id,
                placed_at,
            }
            .into(),
        ),
        Step::Ship => What::Order(
            Shipped {
                order_id,
                placed_at,
            }
            .into(),
        ),
        Step::Deliver => What::Order(
            Delivered {
                order_id,
                placed_at,
            }
            .into(),
        ),
        Step::Review => What::Review(written(number, placed_at).into()),
    };
    Happening {
        user: mix(number) % USERS,
        time,
        what,
    }
}

fn time(moment: u64, moments: u64) -> Timestamp {
    let micros = i128::from(YEAR_MICROS) * i128::from(moment) / i128::from(moments.max(1));
    let micros = BEGIN_MICROS + i64::try_from(micros).expect("it is part of a year");
    Timestamp::from_micros(micros).expect("the year is one of those that times have")
}

fn placed(number: u64, placed_at: Timestamp) -> Placed {
    let lines = lines(number);
    let cents = |of: fn(&PlacedLine) -> i64| lines.iter().map(of).sum::<i64>();
    let items_cents = cents(|line| i64::from(line.quantity) * line.unit_price_cents);
    let freight_cents = cents(|line| line.freight_cents);
    Placed {
        order_id: OrderId(uuid("order", number)),
        placed_at,
        currency: Currency::BRL,
        items_cents,
        freight_cents,
        total_cents: items_cents + freight_cents,
        lines,
    }
}

/// Most orders have one line, as real ones do.
fn lines(number: u64) -> Vec<PlacedLine> {
    let count = match mix(number ^ 1) % 10 {
        0 => 3,
        1 | 2 => 2,
        _ => 1,
    };
    let line = |index: u64| {
        let dice = mix(number ^ ((index + 1) << 40));
        PlacedLine {
            product_id: ProductId(uuid("product", dice % PRODUCTS)),
            seller_id: user_of_seller(dice % SELLERS),
            quantity: 1 + (dice >> 20) as u32 % 2,
            unit_price_cents: 990 + (dice >> 24) as i64 % 50_000,
            freight_cents: 500 + (dice >> 40) as i64 % 4_000,
        }
    };
    (0..count).map(line).collect()
}

fn user_of_seller(number: u64) -> UserId {
    UserId(uuid("seller", number))
}

fn captured(number: u64, placed_at: Timestamp, captured_at: Timestamp) -> Captured {
    const METHODS: [&str; 4] = ["credit_card", "boleto", "voucher", "debit_card"];
    Captured {
        payment_id: PaymentId(uuid("payment", number)),
        order_id: OrderId(uuid("order", number)),
        method: METHODS[mix(number ^ 2) as usize % METHODS.len()].to_owned(),
        installments: 1 + (mix(number ^ 3) % 10) as u32,
        amount_cents: placed(number, placed_at).total_cents,
        currency: Currency::BRL,
        captured_at,
        placed_at,
    }
}

fn written(number: u64, placed_at: Timestamp) -> Written {
    let mut seller_ids: Vec<_> = lines(number).iter().map(|line| line.seller_id).collect();
    seller_ids.sort_unstable();
    seller_ids.dedup();
    Written {
        review_id: ReviewId(uuid("review", number)),
        order_id: OrderId(uuid("order", number)),
        score: 1 + (mix(number ^ 4) % 5) as u8,
        title: None,
        message: mix(number ^ 5)
            .is_multiple_of(2)
            .then(|| "came when it should".to_owned()),
        seller_ids,
        placed_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_history_has_every_step_of_every_order() {
        let all: Vec<_> = history(600).collect();
        assert_eq!(all.len(), 600);
        let reviews = all.iter().filter(|it| matches!(it.what, What::Review(_)));
        assert_eq!(reviews.count(), 100);
        assert!(all.is_sorted_by_key(|happening| happening.time));
    }

    #[test]
    fn the_same_history_comes_out_every_time() {
        let of = || uuid("order", 7);
        assert_eq!(of(), of());
        assert_ne!(uuid("order", 7), uuid("order", 8));
        assert_ne!(uuid("order", 7), uuid("payment", 7));
    }
}
