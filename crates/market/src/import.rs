//! `market import`: turns real history into commands and sends them to a running node.
//!
//! The rules decide about real history as about anything else: a refusal is a result. Keys are
//! derived from the data, so an import that was interrupted goes on, and one that is run twice
//! changes nothing.

mod field;
mod files;
mod plan;
mod rows;
mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::send::{self, SendArgs};

/// Import history into a running node
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  market import olist ../shared/data/olist")]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Source {
    /// The orders of Olist, a Brazilian marketplace, 2016 to 2018
    Olist(OlistArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  market import olist ../shared/data/olist
  market import olist ../shared/data/olist --json | tail -1

Running it again goes on where it stopped, and changes nothing once all is there.")]
struct OlistArgs {
    /// The directory that holds olist_orders_dataset.csv and its siblings, as .csv or .csv.gz
    dir: PathBuf,

    #[command(flatten)]
    send: SendArgs,
}

/// Runs the import and prints its summary.
pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let Source::Olist(OlistArgs { dir, send: args }) = args.source;
    let commands = plan::commands(&tables::Tables::read(&dir)?);
    if !args.json {
        let (count, url) = (commands.len(), &args.url);
        eprintln!("{count} commands from {} to {url}", dir.display());
    }
    let report = send::send(commands, &args, send::ctrl_c()).await?;
    report.conclude(&args, &format!("market import olist {}", dir.display()))
}
