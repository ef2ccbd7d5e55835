//! One order from the basket to the review, as far as there was time for it until now.

use rand::RngExt;
use rand::rngs::StdRng;

use super::Told;
use crate::demo::people::{happens, pick};
use crate::demo::script::{DAY, HOUR, MINUTE, Script};
use crate::demo::sellers::Offer;
use crate::send::{Action, Line, Write};

const REASONS: [&str; 4] = [
    "changed my mind",
    "found it cheaper",
    "ordered by mistake",
    "takes too long",
];

/// Score, title and message of a review, about as often as people give them.
const OPINIONS: [(u32, &str, &str); 8] = [
    (5, "Excellent", "Arrived early and well packed."),
    (5, "Recommended", "Exactly as described."),
    (5, "", ""),
    (4, "Good", "Good value for the price."),
    (4, "", "The box was a little dented."),
    (3, "So so", "Smaller than it looks in the picture."),
    (2, "Late", "It took much longer than promised."),
    (1, "Broken", "Did not work at all; I want my money back."),
];

/// Plays the order that was placed `age` seconds ago and writes into `told` how far it got.
pub(super) fn play(
    script: &mut Script,
    chance: &mut StdRng,
    offers: &[Offer],
    told: &mut Told,
    age: i64,
) {
    let lines = basket(chance, offers, age);
    let total_cents = lines.iter().map(Line::cents).sum();
    let mut story = Story { script, told, age };
    story.happens(
        Action::Place {
            order_id: story.told.order_id,
            lines,
        },
        0,
    );
    let waits = chance.random_range(20..30 * MINUTE);
    story.pay(chance, total_cents, waits);
    match chance.random_range(0..100) {
        0..8 => story.call_off(chance, total_cents),
        8..10 => story.run_out(chance, total_cents),
        _ => story.fulfil(chance),
    }
}

/// One to three products, popular ones more often.
fn basket(chance: &mut StdRng, offers: &[Offer], age: i64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for _ in 0..chance.random_range(1..=3) {
        let unpopular: f64 = chance.random();
        let offer = &offers[(unpopular * unpopular * offers.len() as f64) as usize];
        if lines.iter().all(|line| line.product_id != offer.product_id) {
            lines.push(Line {
                product_id: offer.product_id,
                seller_id: offer.seller_id,
                quantity: if happens(chance, 85) { 1 } else { 2 },
                unit_price_cents: offer.price_cents(age),
                freight_cents: chance.random_range(79..300) * 10,
            });
        }
    }
    lines
}

/// An order under way; `age` is how long ago the last thing happened to it.
struct Story<'a> {
    script: &'a mut Script,
    told: &'a mut Told,
    age: i64,
}

impl Story<'_> {
    /// Lets `action` happen `later` seconds after the last thing, unless that is not yet.
    fn happens(&mut self, action: Action, later: i64) -> bool {
        self.age -= later;
        let past = self.age > 0;
        if past {
            let what = match &action {
                Action::Refund { payment_id, .. } => payment_id.simple().to_string(),
                _ => self.told.order_id.simple().to_string(),
            };
            self.script.say(self.told.buyer, &action, self.age, &what);
        }
        past
    }

    fn pay(&mut self, chance: &mut StdRng, amount_cents: i64, later: i64) {
        let order_id = self.told.order_id;
        let payment_id = self.script.id(&format!("payment of {order_id}"));
        let method = pick(
            &[
                "credit_card",
                "credit_card",
                "credit_card",
                "boleto",
                "voucher",
            ],
            chance,
        );
        let installments = match method {
            "credit_card" => chance.random_range(1..=10),
            _ => 1,
        };
        let method = method.to_owned();
        let capture = Action::Capture {
            payment_id,
            order_id,
            method,
            installments,
            amount_cents,
        };
        if self.happens(capture, later) {
            self.told.paid = Some((payment_id, amount_cents));
        }
    }

    fn refund(&mut self, amount_cents: i64, later: i64) {
        if let Some((payment_id, _)) = self.told.paid {
            self.happens(
                Action::Refund {
                    payment_id,
                    amount_cents,
                },
                later,
            );
        }
    }

    fn call_off(&mut self, chance: &mut StdRng, paid_cents: i64) {
        let reason = pick(&REASONS, chance).to_owned();
        let cancel = Action::Cancel {
            order_id: self.told.order_id,
            reason,
        };
        self.told.cancelled = self.happens(cancel, chance.random_range(HOUR..20 * HOUR));
        self.refund(paid_cents, chance.random_range(HOUR..2 * DAY));
    }

    fn run_out(&mut self, chance: &mut StdRng, paid_cents: i64) {
        let order_id = self.told.order_id;
        self.happens(
            Action::MarkUnavailable { order_id },
            chance.random_range(HOUR..DAY),
        );
        self.refund(paid_cents, chance.random_range(HOUR..DAY));
    }

    fn fulfil(&mut self, chance: &mut StdRng) {
        let order_id = self.told.order_id;
        let approve = chance.random_range(5 * MINUTE..3 * HOUR);
        self.told.approved = self.happens(Action::Approve { order_id }, approve);
        self.happens(
            Action::Ship { order_id },
            chance.random_range(4 * HOUR..2 * DAY),
        );
        let deliver = chance.random_range(DAY..8 * DAY);
        self.told.delivered = self.happens(Action::Deliver { order_id }, deliver);
        if happens(chance, 70) {
            self.review(chance);
        }
    }

    fn review(&mut self, chance: &mut StdRng) {
        let order_id = self.told.order_id;
        let (score, title, message) = pick(&OPINIONS, chance);
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let review_id = self.script.id(&format!("review of {order_id}"));
        let (title, message) = (said(title), said(message));
        let write = Action::Write(Write {
            review_id,
            order_id,
            score,
            title,
            message,
        });
        if self.happens(write, chance.random_range(HOUR..3 * DAY)) {
            self.told.review_id = Some(review_id);
        }
        if let (1, Some((_, paid_cents))) = (score, self.told.paid) {
            self.refund(paid_cents / 2, chance.random_range(HOUR..2 * DAY));
        }
    }
}
