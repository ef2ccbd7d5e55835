//! The demo's script: plausible, the same for the same seed, and harmless a second time.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::buyers::{self, Told};
use super::script::Script;
use super::{sellers, tour};
use crate::send::Command;
use crate::send::rehearsal::rehearse;

fn now() -> Timestamp {
    "2026-11-22T12:00:00.5Z".parse().unwrap()
}

fn played(seed: u64, users: u32, now: Timestamp) -> (Vec<Command>, Vec<Told>) {
    let mut script = Script::new(seed, now);
    let offers = sellers::play(&mut script);
    let told = buyers::play(&mut script, users, &offers);
    (script.into_commands(), told)
}

fn counts(commands: &[Command]) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    for command in commands {
        *counts.entry(command.name).or_default() += 1;
    }
    counts
}

#[test]
fn three_hundred_users_do_a_bit_of_everything() {
    let (commands, _) = played(1, 300, now());
    let counts = counts(&commands);
    assert_eq!((counts["register"], counts["list-product"]), (320, 100));
    assert!((350..600).contains(&counts["place"]), "{counts:?}");
    for name in [
        "change-price",
        "adjust-stock",
        "capture",
        "approve",
        "ship",
        "deliver",
        "write",
    ] {
        assert!(counts[name] > 15, "{name}: {counts:?}");
    }
    for name in ["cancel", "refund", "mark-unavailable", "delist-product"] {
        assert!(counts[name] > 1, "{name}: {counts:?}");
    }
    let in_vain = commands
        .iter()
        .filter(|command| command.key.ends_with(":in-vain"))
        .count();
    assert!((30..=60).contains(&in_vain), "{in_vain}");
}

#[test]
fn the_rules_refuse_what_is_tried_in_vain_and_nothing_else() {
    for seed in 1..5 {
        let (commands, _) = played(seed, 300, now());
        let answers = rehearse(&commands);
        let vain = |key: &&String| key.ends_with(":in-vain") || key.ends_with(":too-many");
        let tried = commands.iter().map(|command| &command.key).filter(vain);
        assert!(tried.eq(&answers.refused_keys), "{:?}", answers.refused);
        assert!(answers.refused.len() >= 6, "{:?}", answers.refused);
    }
}

#[test]
fn the_same_seed_is_the_same_crowd_on_any_day() {
    let said = |commands: Vec<Command>| -> Vec<_> {
        commands
            .into_iter()
            .map(|command| (command.user, command.key, command.body))
            .collect()
    };
    let (today, _) = played(1, 100, now());
    let (later, _) = played(1, 100, "2027-02-28T23:59:59Z".parse().unwrap());
    assert_eq!(said(today.clone()), said(later));
    let (other, _) = played(2, 100, now());
    let users: HashSet<_> = today.iter().map(|command| command.user).collect();
    assert!(other.iter().all(|command| !users.contains(&command.user)));
}

#[test]
fn more_users_add_to_those_who_are_there() {
    let (few, _) = played(1, 50, now());
    let (many, _) = played(1, 200, now());
    let many: HashMap<_, _> = many
        .iter()
        .map(|command| ((command.user, &command.key), command))
        .collect();
    for command in &few {
        assert_eq!(many[&(command.user, &command.key)], command);
    }
}

#[test]
fn a_key_stands_for_one_command_of_its_user() {
    let (commands, _) = played(1, 300, now());
    let keys: HashSet<_> = commands
        .iter()
        .map(|command| (command.user, command.context, &command.key))
        .collect();
    assert_eq!(keys.len(), commands.len());
}

#[test]
fn nothing_is_yet_to_come_and_everybody_registers_first() {
    let (commands, _) = played(1, 300, now());
    let mut seen: HashSet<Uuid> = HashSet::new();
    for command in &commands {
        assert!(command.time <= now(), "{command:?}");
        assert_eq!(
            seen.insert(command.user),
            command.name == "register",
            "{command:?}"
        );
    }
}

#[test]
fn the_tour_shows_an_order_that_went_all_the_way() {
    let (_, told) = played(1, 300, now());
    let text = tour::text("http://127.0.0.1:7373", &told, now());
    let order = told.iter().find(|order| order.review_id.is_some()).unwrap();
    assert!(order.delivered && order.approved && order.paid.is_some());
    let shown = format!("/v1/views/order/by_id?order_id={}'", order.order_id);
    assert!(text.contains(&shown), "{text}");
    assert!(
        text.contains("/v1/views/seller_sales/top?month=2026-11&limit=5'"),
        "{text}"
    );
    assert_eq!(text.matches("curl -s").count(), 6, "{text}");
    assert_eq!(
        tour::text("http://h", &[], now())
            .matches("curl -s")
            .count(),
        2
    );
}
