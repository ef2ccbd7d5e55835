//! The buyers: they register, order, pay, wait, change their mind, and say what they think.

mod mishap;
mod order;

use rand::RngExt;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::people::person;
use super::script::{DAY, HOUR, Script};
use super::sellers::Offer;
use crate::send::Action;

/// How far back the first orders reach.
const FIRST_ORDERS: i64 = 45 * DAY;

/// An order as far as it got, for those who look at it afterwards.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) buyer: Uuid,
    /// The buyer's name.
    pub(super) name: String,
    pub(super) order_id: Uuid,
    pub(super) approved: bool,
    pub(super) delivered: bool,
    pub(super) cancelled: bool,
    /// The payment and its amount in cents.
    pub(super) paid: Option<(Uuid, i64)>,
    pub(super) review_id: Option<Uuid>,
}

/// Lets `users` buyers act; says which orders there are.
pub(super) fn play(script: &mut Script, users: u32, offers: &[Offer]) -> Vec<Told> {
    (0..users)
        .flat_map(|number| buyer(script, number, offers))
        .collect()
}

fn buyer(script: &mut Script, number: u32, offers: &[Offer]) -> Vec<Told> {
    let name = format!("buyer/{number}");
    let (buyer, mut chance) = (script.id(&name), script.chance(&name));
    let register = person(&mut chance, number);
    let orders: Vec<_> = (0..how_many(&mut chance))
        .map(|_| age(&mut chance))
        .collect();
    let first = orders.iter().max().copied().unwrap_or(HOUR);
    let joined = first + chance.random_range(HOUR..2 * DAY);
    let person = register.name.clone().unwrap_or_default();
    script.say(buyer, &Action::Register(register), joined, "person");

    let mut told = Vec::new();
    for (count, age) in orders.into_iter().enumerate() {
        let order_id = script.id(&format!("{name}/order/{count}"));
        let mut one = Told {
            buyer,
            name: person.clone(),
            order_id,
            approved: false,
            delivered: false,
            cancelled: false,
            paid: None,
            review_id: None,
        };
        order::play(script, &mut chance, offers, &mut one, age);
        told.push(one);
    }
    if number % 5 == 4 {
        mishap::play(script, buyer, number / 5, &told);
    }
    told
}

/// One order in the mean, for some none and for some three.
fn how_many(chance: &mut StdRng) -> usize {
    match chance.random_range(0..100) {
        0..8 => 0,
        8..55 => 1,
        55..85 => 2,
        _ => 3,
    }
}

/// How long ago an order was placed; the more recent, the more of them.
fn age(chance: &mut StdRng) -> i64 {
    let early: f64 = chance.random();
    (early * early * FIRST_ORDERS as f64) as i64 + 1
}
