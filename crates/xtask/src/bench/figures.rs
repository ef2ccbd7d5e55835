//! Measured values of several runs, and what is said of them.

use serde::Serialize;

/// One measure over all runs of one side.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    /// The middle value; the mean of the two middle ones where their number is even.
    pub(super) median: f64,
    /// The smallest.
    pub(super) min: f64,
    /// The greatest.
    pub(super) max: f64,
    /// All of them, in the order they were taken.
    pub(super) runs: Vec<f64>,
}

impl Figures {
    /// Sums up the runs; of none, everything is 0.
    pub(super) fn of(runs: Vec<f64>) -> Self {
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Self::default();
        };
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Self {
            median,
            min,
            max,
            runs,
        }
    }
}

/// What a measure is, and how it is to compare with the floor's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// Its name in JSON, the unit last.
    pub(super) name: &'static str,
    /// Its name in the table.
    pub(super) title: &'static str,
    /// Digits after the point.
    pub(super) digits: usize,
    /// What its ratio to the floor is held to.
    pub(super) bound: Option<Bound>,
}

/// What a ratio to the floor is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    /// A rate: not less than this part of the floor's.
    AtLeast(f64),
    /// A time: not more than this many times the floor's.
    AtMost(f64),
}

impl Bound {
    /// Whether a ratio keeps the bound.
    pub(super) fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}

/// Writes a number with a comma after every thousand.
pub(super) fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_run_does_not_move_the_median() {
        let figures = Figures::of(vec![3.0, 1.0, 2.0, 90.0, 2.5]);
        assert_eq!((figures.median, figures.min, figures.max), (2.5, 1.0, 90.0));
        assert_eq!(figures.runs[3], 90.0);
        assert_eq!(Figures::of(vec![1.0, 2.0]).median, 1.5);
        assert_eq!(Figures::of(vec![]).median, 0.0);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(999.25, 1), "999.2");
        assert_eq!(grouped(1000.0, 2), "1,000.00");
    }
}
