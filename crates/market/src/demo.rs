//! `market demo`: made-up people do plausible things, so that there is something to look at.
//!
//! Everything follows from the seed, except that it is dated back from the present: who buys
//! what, who changes their mind, who tries what the rules refuse. Running it twice is harmless,
//! since the keys follow from the seed too; more users add to those who are there.

mod buyers;
mod goods;
mod people;
mod script;
mod sellers;
#[cfg(test)]
mod tests;
mod tour;

use std::process::ExitCode;

use jiff::Timestamp;

use crate::send::{self, Ended, SendArgs};
use script::Script;

/// Let made-up users do plausible things on a running node
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  market demo
  market demo --users 2000 --seed 7

Running it again with the same seed changes nothing.")]
pub(crate) struct DemoArgs {
    /// How many buyers there are
    #[arg(long, value_name = "N", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,

    /// Another seed is another crowd
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    send: SendArgs,
}

/// Plays the demo and shows where to look.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut script = Script::new(args.seed, Timestamp::now());
    let offers = sellers::play(&mut script);
    let orders = buyers::play(&mut script, args.users, &offers);
    let now = script.now();
    let args = args.send;
    let report = send::send(script.into_commands(), &args, send::ctrl_c()).await?;
    let refused_some = !report.summary.refused.is_empty();
    let look_around = !args.json && matches!(report.ended, Ended::Complete);
    let code = report.conclude(&args, "market demo")?;
    if look_around {
        if refused_some {
            println!("(refusals are part of the demo: they show how the rules answer)");
        }
        println!("\n{}", tour::text(&args.base()?, &orders, now));
    }
    Ok(code)
}
