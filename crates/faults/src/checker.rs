//! Holds answers, topics and tables against each other.

pub mod answers;
pub mod event;
pub mod lanes;
pub mod rules;
pub mod tables;
pub mod topics;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

/// How many findings of a kind are told in full.
const TOLD_MAX: usize = 5;

/// What does not hold, by kind.
#[derive(Clone, Debug, Default)]
pub struct Findings(BTreeMap<&'static str, Vec<String>>);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, kind: &'static str, text: impl ToString) {
        self.0.entry(kind).or_default().push(text.to_string());
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// How many there are of each kind, with some of them in full.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, usize, &[String])> {
        let kinds = self.0.iter();
        kinds.map(|(kind, all)| (*kind, all.len(), &all[..all.len().min(TOLD_MAX)]))
    }

    /// Takes over what another check has found.
    pub fn extend(&mut self, other: Self) {
        for (kind, texts) in other.0 {
            self.0.entry(kind).or_default().extend(texts);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count, told) in self.kinds() {
            writeln!(f, "{kind}: {count}")?;
            for text in told {
                writeln!(f, "  {text}")?;
            }
        }
        Ok(())
    }
}
