//! What a run is told on its command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::{checker::Findings, faults::Fault};

/// Lets faults befall a small cluster under load, and checks that it keeps its promises.
#[derive(Clone, Debug, Parser)]
#[command(name = "faults")]
pub struct Settings {
    /// The binary of the marketplace, built with the feature `failpoints`.
    #[arg(long)]
    pub market: PathBuf,
    /// The Java that runs the broker.
    #[arg(long)]
    pub java: PathBuf,
    /// The directory of the broker's jars.
    #[arg(long)]
    pub kafka: PathBuf,
    /// Where everything goes: data, configurations, what the nodes print. It is emptied first.
    #[arg(long)]
    pub directory: PathBuf,
    /// How many faults there are, one after another.
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// What the choice of faults follows from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this fault; may be given more than once.
    #[arg(long, value_name = "FAULT")]
    pub only: Vec<Fault>,
    /// One JSON object a line instead of text.
    #[arg(long)]
    pub json: bool,
    /// How many lanes the log has, a power of two.
    #[arg(long, default_value_t = 4)]
    pub lanes: u16,
    /// How many nodes take commands.
    #[arg(long, default_value_t = 3)]
    pub commands: u16,
    /// How many nodes keep the read models up.
    #[arg(long, default_value_t = 2)]
    pub projectors: u16,
    /// How many nodes answer queries.
    #[arg(long, default_value_t = 2)]
    pub queries: u16,
    /// How many callers there are; half of them call two lanes only.
    #[arg(long, default_value_t = 24)]
    pub callers: u16,
    /// After how many rounds the checker looks, beside the end.
    #[arg(long, default_value_t = 20)]
    pub check_every: u32,
    /// Has the nodes break a promise, and expects that it is found.
    #[arg(long)]
    pub broken: Option<Broken>,
}

/// What nodes can be made to do wrong, to see whether the checker finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// A writer that was replaced goes on.
    Fencing,
    /// Commands are answered before they are in the log.
    Answer,
    /// A checkpoint is moved before its rows are there.
    Checkpoint,
}

impl Broken {
    /// What breaks it, as a failpoint of the nodes.
    pub(crate) fn failpoint(self) -> &'static str {
        match self {
            Self::Fencing => "broken::fencing=return",
            Self::Answer => "broken::answer=return",
            Self::Checkpoint => "broken::checkpoint=return",
        }
    }

    /// Whether these findings are what it comes to.
    pub fn is_found(self, findings: &Findings) -> bool {
        let kinds: &[&str] = match self {
            Self::Fencing => &["doubled", "fenced-writer", "gap", "stream"],
            Self::Answer => &["lost"],
            Self::Checkpoint => &["table", "row"],
        };
        findings.kinds().any(|(kind, ..)| kinds.contains(&kind))
    }

    /// The faults that bring it to light.
    pub(crate) fn faults(self) -> &'static [Fault] {
        match self {
            Self::Fencing => &[Fault::PauseCommand],
            Self::Answer => &[Fault::FailCommand, Fault::KillBroker],
            Self::Checkpoint => &[Fault::FailProjector],
        }
    }
}
