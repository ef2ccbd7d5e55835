//! The marketplace's binary: Foldline's roles and tools, and two clients of its own.

mod demo;
mod import;
mod send;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use foldline::cli::ServeArgs;

// Every request allocates on one thread and frees on another, which the system's allocator
// takes badly: with this one a node takes a fifth more commands.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A marketplace on Foldline: commands, an append-only log, read models, queries.
#[derive(Debug, Parser)]
#[command(name = "market", version, propagate_version = true)]
struct Arguments {
    /// What to do; `dev` where nothing is said
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Foldline(foldline::cli::Command),
    /// Let a few hundred made-up users do plausible things
    Demo(demo::DemoArgs),
    /// Send real history to a running node
    Import(import::ImportArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    // Tests let the process die at named places; without the feature this does nothing.
    let _scenario = fail::FailScenario::setup();
    let command = Arguments::parse().command;
    let command = command
        .unwrap_or_else(|| Command::Foldline(foldline::cli::Command::Dev(ServeArgs::default())));
    let done = match command {
        Command::Foldline(command) => foldline::cli::run(market::application(), command).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Import(args) => import::run(args).await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
