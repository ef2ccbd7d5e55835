//! The shops open, offer their goods, and now and then change a price or their stock.

use rand::RngExt;
use uuid::Uuid;

use super::goods::{GOODS, Good, SHOPS};
use super::people::{happens, shop};
use super::script::{DAY, HOUR, MINUTE, Script};
use crate::send::{Action, ListProduct};

/// How long ago the shops opened, before anybody bought anything.
const OPENED: i64 = 60 * DAY;

/// A product that can be bought, in the order of [`GOODS`].
pub(super) struct Offer {
    pub(super) product_id: Uuid,
    pub(super) seller_id: Uuid,
    price_cents: i64,
    /// The age since which it costs something else.
    changed: Option<(i64, i64)>,
}

impl Offer {
    /// What it cost so many seconds ago.
    pub(super) fn price_cents(&self, age: i64) -> i64 {
        match self.changed {
            Some((since, price_cents)) if age < since => price_cents,
            _ => self.price_cents,
        }
    }
}

/// Lets all shops act; says what they offer.
pub(super) fn play(script: &mut Script) -> Vec<Offer> {
    let mut sellers = Vec::new();
    for name in SHOPS {
        let seller = script.id(name);
        let register = shop(&mut script.chance(name), name);
        script.say(seller, &Action::Register(register), OPENED + HOUR, "shop");
        sellers.push(seller);
    }
    let offer = |(number, good)| offer(script, sellers[number % sellers.len()], number, good);
    GOODS.into_iter().enumerate().map(offer).collect()
}

fn offer(script: &mut Script, seller_id: Uuid, number: usize, good: Good) -> Offer {
    let (name, category, price_cents, weight_g) = good;
    let mut chance = script.chance(name);
    let product_id = script.id(name);
    let list = ListProduct {
        product_id,
        name: Some(name.to_owned()),
        category: Some(category.to_owned()),
        price_cents,
        weight_g: Some(weight_g),
        photos: Some(chance.random_range(1..=6)),
        ..ListProduct::default()
    };
    let opened = OPENED - number as i64 * 10 * MINUTE;
    let what = product_id.simple().to_string();
    script.say(seller_id, &Action::ListProduct(list), opened, &what);

    let stock = Action::AdjustStock {
        product_id,
        by: chance.random_range(20..200),
    };
    script.say(seller_id, &stock, opened - MINUTE, &format!("{what}:first"));
    if happens(&mut chance, 40) {
        let age = chance.random_range(DAY..30 * DAY);
        let by = match happens(&mut chance, 60) {
            true => chance.random_range(5..60),
            false => -chance.random_range(1..=20),
        };
        let more = Action::AdjustStock { product_id, by };
        script.say(seller_id, &more, age, &format!("{what}:later"));
    }
    if number % 40 == 7 {
        // Refused: nobody has so many to take away.
        let all = Action::AdjustStock {
            product_id,
            by: -1_000_000,
        };
        script.say(seller_id, &all, 2 * MINUTE, &format!("{what}:too-many"));
    }
    if number % 40 == 39 {
        script.say(
            seller_id,
            &Action::DelistProduct { product_id },
            MINUTE,
            &what,
        );
    }
    let changed = happens(&mut chance, 25).then(|| {
        let age = chance.random_range(DAY..40 * DAY);
        let percent = match happens(&mut chance, 70) {
            true => chance.random_range(75..=95),
            false => chance.random_range(105..=115),
        };
        let price_cents = price_cents * percent / 100;
        let change = Action::ChangePrice {
            product_id,
            price_cents,
        };
        script.say(seller_id, &change, age, &what);
        (age, price_cents)
    });
    Offer {
        product_id,
        seller_id,
        price_cents,
        changed,
    }
}
