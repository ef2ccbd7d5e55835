//! The five bounded contexts: one topic, one decider and one file each.
//!
//! | Context | A stream belongs to | Decides about |
//! |---|---|---|
//! | [`accounts`] | the person | being registered, the profile |
//! | [`catalog`] | the seller | products on offer, their prices and stock |
//! | [`orders`] | the buyer | orders, from placing to delivery |
//! | [`payments`] | the buyer | money captured and given back for an order |
//! | [`reviews`] | the buyer | what the buyer thought of an order |
//!
//! Payments and reviews look into the same user's orders; nothing else crosses a border.
//!
//! Commands are checked at the door (bounded texts, amounts from 0, no unknown members), and
//! events are read as they stand: a bound that is tightened one day must not make an old fact
//! unreadable.

pub mod accounts;
pub mod catalog;
pub mod orders;
pub mod payments;
pub mod reviews;

#[cfg(test)]
mod examples;
