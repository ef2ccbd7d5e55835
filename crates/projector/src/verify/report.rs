//! What a verification says.

use std::fmt;

use foldline_tables::GenerationNumber;
use serde::Serialize;

use crate::LaneCheckpoint;

/// How many differences and problems are kept; all are counted.
const KEPT_MAX: usize = 100;

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// The read model.
    pub model: String,
    /// The generation that was verified.
    pub generation: GenerationNumber,
    /// The point as of which it was, in each lane.
    pub as_of: Vec<LaneCheckpoint>,
    /// How many events were folded.
    pub events: u64,
    /// How many rows of the table were compared.
    pub rows: u64,
    /// Only about one row in so many was compared.
    pub sampled: Option<u32>,
    /// How many rows differ.
    pub differences_found: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// How many other things are wrong.
    pub problems_found: u64,
    /// The first of them: gaps, repeats, users held back wrongly.
    pub problems: Vec<String>,
    /// Nothing is wrong.
    pub clean: bool,
}

/// A row that is not what the log says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// How it differs.
    pub kind: DifferenceKind,
    /// Its key, by column.
    pub key: serde_json::Map<String, serde_json::Value>,
    /// The columns that differ; all of a row that is missing or unexpected.
    pub columns: Vec<ColumnDifference>,
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// The log has it, the table has not.
    Missing,
    /// The table has it, the log has not.
    Unexpected,
    /// Some columns differ.
    Different,
}

/// A column that is not what the log says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnDifference {
    /// Its name.
    pub column: String,
    /// What the log says; null too where it has no such row.
    pub expected: serde_json::Value,
    /// What the table says; null too where it has no such row.
    pub found: serde_json::Value,
}

/// How far a verification has come.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyProgress {
    /// The read model.
    pub model: String,
    /// What is being done.
    pub phase: VerifyPhase,
    /// Which pass it is, from 1.
    pub pass: u32,
    /// How many there are.
    pub passes: u32,
    /// How many events of its contexts this pass has folded.
    pub events_done: u64,
    /// How many it will.
    pub events_total: u64,
}

/// What a verification is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyPhase {
    /// It folds the log.
    Folding,
    /// It compares rows.
    Comparing,
}

impl VerifyReport {
    pub(super) fn new(model: &str, generation: GenerationNumber) -> Self {
        Self {
            model: model.to_owned(),
            generation,
            as_of: Vec::new(),
            events: 0,
            rows: 0,
            sampled: None,
            differences_found: 0,
            differences: Vec::new(),
            problems_found: 0,
            problems: Vec::new(),
            clean: false,
        }
    }

    pub(super) fn difference(&mut self, difference: impl FnOnce() -> Difference) {
        self.differences_found += 1;
        if self.differences.len() < KEPT_MAX {
            self.differences.push(difference());
        }
    }

    /// Several passes meet the same trouble; it is told once.
    pub(super) fn problem(&mut self, problem: String) {
        if self.problems.contains(&problem) {
            return;
        }
        self.problems_found += 1;
        if self.problems.len() < KEPT_MAX {
            self.problems.push(problem);
        }
    }

    pub(super) fn ended(mut self) -> Self {
        self.clean = self.differences_found == 0 && self.problems_found == 0;
        self
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Unexpected => "unexpected",
            DifferenceKind::Different => "different",
        })?;
        for (column, value) in &self.key {
            write!(f, " {column}={value}")?;
        }
        for ColumnDifference {
            column,
            expected,
            found,
        } in &self.columns
        {
            match self.kind {
                DifferenceKind::Missing => write!(f, ", {column} {expected}")?,
                DifferenceKind::Unexpected => write!(f, ", {column} {found}")?,
                DifferenceKind::Different => {
                    write!(f, ", {column} is {found} where the log says {expected}")?;
                }
            }
        }
        Ok(())
    }
}
