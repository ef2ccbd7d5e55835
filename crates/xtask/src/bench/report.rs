//! The figures of a benchmark, as a table and as JSON.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    figures::{Figures, Measure, grouped},
    machine::{Commit, Machine},
};

/// The name of the side that the others are compared with.
pub(super) const FLOOR: &str = "floor";

/// The values of one side: per measure one value per run.
pub(super) type Runs = BTreeMap<&'static str, Vec<f64>>;

/// Everything a benchmark found.
pub(super) struct Report {
    /// What was measured.
    pub(super) bench: &'static str,
    /// Everything that was chosen: connections, seconds, lanes and the like.
    pub(super) settings: Value,
    /// What was measured, in the order of the table.
    pub(super) measures: Vec<Measure>,
    /// The sides, the floor first.
    pub(super) sides: Vec<(&'static str, Runs)>,
    /// The side whose ratios are held to the bounds.
    pub(super) held: &'static str,
}

impl Report {
    /// Prints the table and writes the JSON.
    pub(super) fn publish(&self, directory: &Path, also: Option<&PathBuf>) -> Result<()> {
        let (machine, commit) = (Machine::this(), Commit::this()?);
        println!(
            "\n{} on {machine}\n{commit}\nsettings: {}\n",
            self.bench, self.settings
        );
        self.print();
        let json = json!({
            "bench": self.bench,
            "machine": machine,
            "commit": commit,
            "settings": self.settings,
            "sides": self.sides.iter().map(|(side, runs)| (*side, figures(runs))).collect::<BTreeMap<_, _>>(),
            "ratios_to_floor": self.ratios(),
        });
        let text = serde_json::to_string_pretty(&json)? + "\n";
        let always = directory.join(format!("{}.json", self.bench));
        for path in [Some(&always), also].into_iter().flatten() {
            std::fs::write(path, &text)
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("written: {}", path.display());
        }
        Ok(())
    }

    fn print(&self) {
        print!("{:<26}", "median (min to max)");
        for (side, _) in &self.sides {
            print!("{side:>34}");
        }
        println!();
        for measure in &self.measures {
            print!("{:<26}", measure.title);
            for (_, runs) in &self.sides {
                print!("{:>34}", cell(measure, runs));
            }
            println!();
        }
        println!("\nratio to the floor");
        for measure in &self.measures {
            for (side, _) in &self.sides {
                if let Some(ratio) = self.ratio(measure, side) {
                    let verdict = self.verdict(measure, side, ratio);
                    println!("{:<26}{side:<14}{ratio:>8.3}{verdict}", measure.title);
                }
            }
        }
        println!();
    }

    fn verdict(&self, measure: &Measure, side: &str, ratio: f64) -> String {
        match measure.bound.filter(|_| side == self.held) {
            Some(bound) if bound.holds(ratio) => format!("   {bound}: kept"),
            Some(bound) => format!("   {bound}: NOT KEPT"),
            None => String::new(),
        }
    }

    fn ratios(&self) -> BTreeMap<&str, BTreeMap<&str, f64>> {
        let others = self.sides.iter().filter(|(side, _)| *side != FLOOR);
        let ratios = others.map(|(side, _)| {
            let measures = self.measures.iter();
            let known = measures.filter_map(|it| Some((it.name, self.ratio(it, side)?)));
            (*side, known.collect())
        });
        ratios.collect()
    }

    /// The ratio of the medians; `None` for the floor itself and for what it has no figure of.
    fn ratio(&self, measure: &Measure, side: &str) -> Option<f64> {
        let median = |wanted: &str| {
            let (_, runs) = self.sides.iter().find(|(side, _)| *side == wanted)?;
            Some(Figures::of(runs.get(measure.name)?.clone()).median)
        };
        let floor = median(FLOOR).filter(|&floor| side != FLOOR && floor > 0.0)?;
        Some(median(side)? / floor)
    }
}

fn figures(runs: &Runs) -> BTreeMap<&str, Figures> {
    let figures = runs
        .iter()
        .map(|(name, runs)| (*name, Figures::of(runs.clone())));
    figures.collect()
}

fn cell(measure: &Measure, runs: &Runs) -> String {
    let Some(runs) = runs.get(measure.name) else {
        return String::new();
    };
    let figures = Figures::of(runs.clone());
    let text = |value| grouped(value, measure.digits);
    format!(
        "{} ({} to {})",
        text(figures.median),
        text(figures.min),
        text(figures.max)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Bound;

    #[test]
    fn ratios_are_of_medians_and_only_of_what_both_sides_measured() {
        let rate = Measure {
            name: "rate",
            title: "rate",
            digits: 0,
            bound: Some(Bound::AtLeast(0.8)),
        };
        let behind = Measure {
            name: "behind",
            ..rate
        };
        let report = Report {
            bench: "x",
            settings: Value::Null,
            measures: vec![rate, behind],
            sides: vec![
                (FLOOR, Runs::from([("rate", vec![10.0, 1.0, 10.0])])),
                (
                    "ours",
                    Runs::from([("rate", vec![9.0]), ("behind", vec![1.0])]),
                ),
            ],
            held: "ours",
        };
        let ratios = report.ratios();
        assert_eq!(ratios.len(), 1);
        assert_eq!(ratios["ours"], BTreeMap::from([("rate", 0.9)]));
        assert!(report.verdict(&rate, "ours", 0.9).ends_with("kept"));
        assert!(report.verdict(&rate, "ours", 0.7).ends_with("NOT KEPT"));
        assert!(report.verdict(&rate, "other", 0.7).is_empty());
    }
}
