//! What buyers try in vain, so that a newcomer sees how the rules refuse.

use uuid::Uuid;

use super::Told;
use crate::demo::script::Script;
use crate::send::{Action, Write};

/// Lets `buyer` do one thing that is refused, just now; which one depends on `kind`, and on what
/// their orders came to.
pub(super) fn play(script: &mut Script, buyer: Uuid, kind: u32, told: &[Told]) {
    let Some(action) = tried(script, buyer, kind, told) else {
        return;
    };
    script.say(buyer, &action, 0, "in-vain");
}

fn tried(script: &Script, buyer: Uuid, kind: u32, told: &[Told]) -> Option<Action> {
    let unknown = script.id(&format!("nobody's order, dreamt of by {buyer}"));
    let cancelled = told.iter().find(|order| order.cancelled);
    if let Some(&Told { order_id, .. }) = cancelled {
        // Cancelled once already; or on its way after all.
        return Some(match kind % 2 {
            0 => Action::Cancel {
                order_id,
                reason: "really".to_owned(),
            },
            _ => Action::Ship { order_id },
        });
    }
    match kind % 6 {
        0 => Some(Action::Capture {
            payment_id: unknown,
            order_id: unknown,
            method: "credit_card".to_owned(),
            installments: 1,
            amount_cents: 9_900,
        }),
        1 => Some(Action::Place {
            order_id: unknown,
            lines: Vec::new(),
        }),
        2 => {
            let approved = told.iter().find(|order| order.approved)?;
            Some(Action::Approve {
                order_id: approved.order_id,
            })
        }
        3 => {
            let (payment_id, amount_cents) = told.iter().find_map(|order| order.paid)?;
            Some(Action::Refund {
                payment_id,
                amount_cents: amount_cents + 1,
            })
        }
        4 => {
            let delivered = told.iter().find(|order| order.delivered)?;
            let reason = "too late".to_owned();
            Some(Action::Cancel {
                order_id: delivered.order_id,
                reason,
            })
        }
        _ => told.iter().find_map(|order| {
            let (order_id, review_id) = (order.order_id, order.review_id?);
            let write = Write {
                review_id,
                order_id,
                score: 5,
                title: None,
                message: None,
            };
            Some(Action::Write(write))
        }),
    }
}
