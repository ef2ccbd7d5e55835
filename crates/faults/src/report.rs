//! What a run prints: a line for each round and what the checker found, for people or as JSON.

use std::{collections::BTreeMap, io::IsTerminal as _, time::Duration};

use clap::ValueEnum as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{checker::Findings, faults::Fault, settings::Settings};

/// Prints as the run goes on.
#[derive(Debug)]
pub struct Report {
    json: bool,
    seed: u64,
    bar: ProgressBar,
    counts: BTreeMap<Fault, u32>,
}

/// What is said of a round.
#[derive(Debug)]
pub struct Round {
    /// Its number, from 1.
    pub number: u32,
    /// What befell.
    pub fault: Fault,
    /// Whom.
    pub target: String,
    /// How.
    pub how: String,
    /// Commands accepted so far.
    pub accepted: u64,
    /// The longest time that a lane gave no answer.
    pub silence: Duration,
    /// Which lane that was.
    pub lane: usize,
    /// How long it took until all was well again, the fault included.
    pub took: Duration,
}

impl Report {
    /// Begins a run.
    pub fn new(settings: &Settings) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(settings.rounds.into())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:30} round {pos} of {len}, {elapsed} so far, {eta} left",
        ) {
            bar.set_style(style);
        }
        Self {
            json: settings.json,
            seed: settings.seed,
            bar,
            counts: BTreeMap::new(),
        }
    }

    /// Tells of a round.
    pub fn round(&mut self, round: &Round) {
        *self.counts.entry(round.fault).or_default() += 1;
        self.bar.inc(1);
        let fault = name(round.fault);
        let Round {
            number,
            target,
            how,
            accepted,
            lane,
            ..
        } = round;
        let (silence, took) = (crate::seconds(round.silence), crate::seconds(round.took));
        if self.json {
            self.line(&json!({
                "round": number, "seed": self.seed, "fault": fault, "target": target, "how": how,
                "accepted": accepted, "silence_ms": round.silence.as_millis(), "lane": lane,
                "took_ms": round.took.as_millis(),
            }));
            return;
        }
        let seed = self.seed;
        self.line(&format!(
            "round {number:>3}, seed {seed}: {fault:<16} {target:<13} {how:<42} \
             {accepted:>7} accepted, lane {lane} silent for {silence}, well after {took}"
        ));
    }

    /// Tells what a check has come to.
    pub fn checked(&self, what: &Checked, findings: &Findings) {
        let Checked {
            round,
            commands,
            events,
            took,
        } = what;
        if self.json {
            let found: BTreeMap<_, _> = findings
                .kinds()
                .map(|(kind, count, told)| (kind, json!({ "count": count, "told": told })))
                .collect();
            self.line(&json!({
                "checked_after_round": round, "seed": self.seed, "commands": commands,
                "events": events, "took_ms": took.as_millis(), "findings": found,
            }));
            return;
        }
        let (took, count) = (crate::seconds(*took), findings.count());
        self.line(&format!(
            "checked after round {round}: {commands} commands, {events} events, \
             {count} findings, {took}"
        ));
        if count > 0 {
            self.line(&findings.to_string().trim_end());
        }
    }

    /// Tells how many rounds of each fault there were.
    pub fn end(&self, findings: &Findings) {
        self.bar.finish_and_clear();
        let counts = self.counts.iter();
        if self.json {
            let counts: BTreeMap<_, _> = counts.map(|(fault, n)| (name(*fault), n)).collect();
            self.line(&json!({
                "rounds": counts, "seed": self.seed, "findings": findings.count(),
            }));
            return;
        }
        let counts: Vec<_> = counts
            .map(|(fault, n)| format!("{} {n}", name(*fault)))
            .collect();
        self.line(&format!("rounds: {}", counts.join(", ")));
        self.line(&format!("findings: {}", findings.count()));
    }

    fn line(&self, line: &impl ToString) {
        let line = line.to_string();
        self.bar.suspend(|| println!("{line}"));
    }
}

/// What was checked.
#[derive(Debug)]
pub struct Checked {
    /// After which round.
    pub round: u32,
    /// How many commands were sent.
    pub commands: usize,
    /// How many events the log has.
    pub events: usize,
    /// How long it took.
    pub took: Duration,
}

fn name(fault: Fault) -> String {
    let value = fault.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
