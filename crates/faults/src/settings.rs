//! What a run is told on its command line.

use std::path::PathBuf;

use clap::Parser;

use crate::faults::Fault;

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
    /// Ends the run at the first findings.
    #[arg(long)]
    pub fail_fast: bool,
}
