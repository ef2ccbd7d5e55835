//! Money captured and given back: the context `payments`, whose streams belong to buyers.
//!
//! ```text
//!   capture ──▶ refund, any number of times, never more in all than was captured
//! ```
//!
//! A payment is for an order of the same buyer: the rules look it up in the buyer's state in
//! [`orders`](super::orders), as of the same instant. An order that was cancelled can still be
//! paid, since its provider may report late; the money then goes back by refunds.

use foldline::kernel::{Decider, Situation, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::orders::Orders;
use crate::{Cents, Currency, OrderId, PaymentId, Text, few::Few};

// Stored events: names and shapes are on disk for ever.

foldline::schema::stored_events! {
    /// What happens to payments.
    #[derive(Clone, Debug, PartialEq)]
    pub enum PaymentEvent {
        "payment.captured.v1" => Captured(Captured),
        "payment.refunded.v1" => Refunded(Refunded),
    }
}

/// A buyer has paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    /// The payment.
    pub payment_id: PaymentId,
    /// The order it is for.
    pub order_id: OrderId,
    /// How it was paid, such as `credit_card`.
    pub method: String,
    /// In how many instalments; 0 where that is not known.
    pub installments: u32,
    /// How much.
    pub amount_cents: i64,
    /// The currency of the order.
    pub currency: Currency,
    /// When it was captured.
    pub captured_at: Timestamp,
    /// When the order had been placed.
    pub placed_at: Timestamp,
}

/// A buyer got money back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refunded {
    /// The payment.
    pub payment_id: PaymentId,
    /// The order it was for.
    pub order_id: OrderId,
    /// How it had been paid.
    pub method: String,
    /// When it had been captured.
    pub captured_at: Timestamp,
    /// How much was given back this time.
    pub amount_cents: i64,
    /// The currency of the order.
    pub currency: Currency,
    /// When the order had been placed.
    pub placed_at: Timestamp,
}

// State.

/// The buyer's payments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PaymentsState {
    payments: Few<PaymentId, Payment>,
}

/// A payment, with what its refunds repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Payment {
    order_id: OrderId,
    placed_at: Timestamp,
    captured_at: Timestamp,
    method: String,
    currency: Currency,
    amount_cents: i64,
    refunded_cents: i64,
}

// Commands.

foldline::kernel::commands! {
    /// What a buyer's payments can be asked to do.
    #[derive(Clone, Debug)]
    pub enum PaymentCommand {
        "capture" => Capture(Capture),
        "refund" => Refund(Refund),
    }
}

/// Takes money for an order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// An id that this buyer has not used before.
    pub payment_id: PaymentId,
    /// The order it is for, one of this buyer's.
    pub order_id: OrderId,
    /// How it is paid, such as `credit_card`.
    pub method: Text<1, 50>,
    /// In how many instalments; 0 where that is not known.
    pub installments: u32,
    /// How much; it may be 0, as with a voucher that is used up.
    pub amount_cents: Cents,
    /// The currency, which is the order's; it may be left out.
    pub currency: Option<Currency>,
}

/// Gives money back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refund {
    /// The payment.
    pub payment_id: PaymentId,
    /// How much; 0 changes nothing.
    pub amount_cents: Cents,
    /// The currency, which is the payment's; it may be left out.
    pub currency: Option<Currency>,
}

// Rejections: the codes are what clients match on.

foldline::kernel::rejections! {
    /// Why the rules say no.
    #[derive(Clone, PartialEq)]
    pub enum PaymentRejection {
        Conflict "unknown-order" => UnknownOrder { order_id: OrderId }
            "this user has no order {order_id}",
        Conflict "payment-already-captured" => AlreadyCaptured { payment_id: PaymentId }
            "payment {payment_id} is already captured",
        Conflict "unknown-payment" => Unknown { payment_id: PaymentId }
            "this user has no payment {payment_id}",
        Conflict "refund-exceeds-payment" => RefundExceedsPayment { payment_id: PaymentId, left: i64 }
            "of payment {payment_id} only {left} cents are left to give back",
        Conflict "currency-differs" => CurrencyDiffers { currency: Currency }
            "the amount has to be in {currency}",
    }
}

// Rules.

/// The context `payments`.
#[derive(Debug)]
pub struct Payments;

impl Decider for Payments {
    const CONTEXT: &'static str = "payments";
    const STATE_REVISION: u32 = 1;

    type State = PaymentsState;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Rejection = PaymentRejection;

    fn decide(
        state: &PaymentsState,
        command: PaymentCommand,
        situation: &Situation<'_>,
    ) -> Result<Vec<PaymentEvent>, PaymentRejection> {
        Ok(match command {
            PaymentCommand::Capture(capture) => {
                vec![decide_capture(state, capture, situation)?.into()]
            }
            PaymentCommand::Refund(refund) => match decide_refund(state, refund)? {
                Refunded {
                    amount_cents: 0, ..
                } => vec![],
                refunded => vec![refunded.into()],
            },
        })
    }

    /// Facts about a payment that was never captured are passed over: `evolve` cannot fail.
    fn evolve(state: &mut PaymentsState, event: &PaymentEvent) {
        match event {
            PaymentEvent::Captured(e) => {
                state.payments.insert(e.payment_id, Payment::from(e));
            }
            PaymentEvent::Refunded(e) => {
                if let Some(payment) = state.payments.get_mut(&e.payment_id) {
                    payment.refunded_cents = payment.refunded_cents.saturating_add(e.amount_cents);
                }
            }
        }
    }
}

fn decide_capture(
    state: &PaymentsState,
    capture: Capture,
    situation: &Situation<'_>,
) -> Result<Captured, PaymentRejection> {
    let Capture {
        payment_id,
        order_id,
        ..
    } = capture;
    let order = situation.state_of::<Orders>().order(order_id);
    let order = order.ok_or(PaymentRejection::UnknownOrder { order_id })?;
    if state.payments.get(&payment_id).is_some() {
        return Err(PaymentRejection::AlreadyCaptured { payment_id });
    }
    let currency = same_currency(order.currency(), capture.currency)?;
    Ok(Captured {
        payment_id,
        order_id,
        method: capture.method.into_inner(),
        installments: capture.installments,
        amount_cents: capture.amount_cents.get(),
        currency,
        captured_at: situation.time,
        placed_at: order.placed_at(),
    })
}

fn decide_refund(state: &PaymentsState, refund: Refund) -> Result<Refunded, PaymentRejection> {
    let Refund {
        payment_id,
        amount_cents,
        currency,
    } = refund;
    let payment = state.payments.get(&payment_id);
    let payment = payment.ok_or(PaymentRejection::Unknown { payment_id })?;
    let currency = same_currency(payment.currency, currency)?;
    let left = payment.amount_cents.saturating_sub(payment.refunded_cents);
    if amount_cents.get() > left {
        return Err(PaymentRejection::RefundExceedsPayment { payment_id, left });
    }
    Ok(Refunded {
        payment_id,
        order_id: payment.order_id,
        method: payment.method.clone(),
        captured_at: payment.captured_at,
        amount_cents: amount_cents.get(),
        currency,
        placed_at: payment.placed_at,
    })
}

fn same_currency(due: Currency, named: Option<Currency>) -> Result<Currency, PaymentRejection> {
    if named.is_some_and(|named| named != due) {
        return Err(PaymentRejection::CurrencyDiffers { currency: due });
    }
    Ok(due)
}

impl From<&Captured> for Payment {
    fn from(captured: &Captured) -> Self {
        Self {
            order_id: captured.order_id,
            placed_at: captured.placed_at,
            captured_at: captured.captured_at,
            method: captured.method.clone(),
            currency: captured.currency,
            amount_cents: captured.amount_cents,
            refunded_cents: 0,
        }
    }
}

#[cfg(test)]
mod tests;
