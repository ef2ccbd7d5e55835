//! What came of a run: the figures, how it ended, and how both are printed.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use super::{SendArgs, SendError};

/// How many commands were answered, and how.
///
/// Its JSON is a format that others read: names and order of the fields are fixed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Commands that were answered; a command that was sent twice counts once.
    pub(crate) sent: u64,
    /// Those whose events are in the log since this run.
    pub(crate) accepted: u64,
    /// Those that an earlier run, or an earlier attempt whose answer was lost, had settled.
    pub(crate) already_known: u64,
    /// Those that the rules refused, by the problem's code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// How long the sending took.
    pub(crate) seconds: f64,
}

/// Why the sending stopped.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Every command was answered.
    Complete,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// A command could not be settled.
    Failed(SendError),
}

/// The figures of a run and why it stopped.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) summary: Summary,
    pub(crate) ended: Ended,
}

impl Report {
    /// Prints the summary and gives the process's exit code; fails with what stopped the run.
    ///
    /// `again` is the command that goes on from here.
    pub(crate) fn conclude(self, args: &SendArgs, again: &str) -> anyhow::Result<ExitCode> {
        if args.json {
            println!("{}", self.summary.to_json());
        } else {
            println!("{}", self.summary);
        }
        match self.ended {
            Ended::Complete => Ok(ExitCode::SUCCESS),
            Ended::Interrupted => {
                eprintln!("interrupted; nothing is lost: `{again}` goes on from here");
                // What a shell expects of a program that Ctrl-C ended.
                Ok(ExitCode::from(130))
            }
            Ended::Failed(error) => Err(error.into()),
        }
    }
}

impl Summary {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("figures and texts always serialise")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = if self.seconds > 0.0 {
            self.sent as f64 / self.seconds
        } else {
            0.0
        };
        let (seconds, rate) = (self.seconds, grouped(rate as u64));
        let refused: u64 = self.refused.values().sum();
        row(f, "sent", self.sent)?;
        writeln!(f, "   in {seconds:.1} s, {rate} a second")?;
        row(f, "accepted", self.accepted)?;
        writeln!(f)?;
        row(f, "already known", self.already_known)?;
        writeln!(f)?;
        row(f, "refused", refused)?;
        for (code, count) in &self.refused {
            writeln!(f)?;
            row(f, &format!("  {code}"), *count)?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: u64) -> fmt::Result {
    write!(f, "{name:<32}{:>12}", grouped(count))
}

/// A number with a comma before every three digits.
pub(super) fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let refused = [
            ("unknown-order".to_owned(), 458),
            ("order-without-lines".to_owned(), 118),
        ];
        let refused = refused.into_iter().collect();
        Summary {
            sent: 126_533,
            accepted: 125_957,
            already_known: 0,
            refused,
            seconds: 12.5,
        }
    }

    #[test]
    fn the_json_is_the_fixed_line() {
        assert_eq!(
            summary().to_json(),
            r#"{"sent":126533,"accepted":125957,"already_known":0,"refused":{"order-without-lines":118,"unknown-order":458},"seconds":12.5}"#
        );
    }

    #[test]
    fn the_table_names_every_refusal() {
        let table = summary().to_string();
        assert!(
            table.contains("126,533   in 12.5 s, 10,122 a second"),
            "{table}"
        );
        assert!(table.contains("  order-without-lines"), "{table}");
        assert!(
            table
                .lines()
                .any(|line| line.starts_with("refused") && line.ends_with("576"))
        );
    }
}
