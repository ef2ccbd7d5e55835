//! The command line that every Foldline application has.

/// Prints a line of a tool's result.
macro_rules! say {
    ($($line:tt)*) => { $crate::cli::print_line(format_args!($($line)*)) };
}

mod asyncapi;
pub(crate) mod client;
mod dev;
mod export;
mod replay;
mod schemas;
mod token;
mod topics;
mod verify;
mod views;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

pub use client::NodeArgs;
pub use token::BearerArgs;

use crate::{Application, Role, configuration::Configuration};

/// What an application can be told to do; flatten it into the application's own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: commands, read models and queries
    #[command(
        after_help = "Examples:\n  market dev --data ./data --listen 127.0.0.1:8080\n  market dev --kafka localhost:9092"
    )]
    Dev(ServeArgs),
    /// Run the command side alone: take commands and append events
    #[command(
        after_help = "Examples:\n  market command --data ./data\n  market command --kafka localhost:9092"
    )]
    Command(ServeArgs),
    /// Keep the read models up: follow the log on Kafka and write their rows
    #[command(after_help = "Example:\n  market projector --kafka localhost:9092 --data ./data")]
    Projector(ServeArgs),
    /// Answer queries from the read models
    #[command(after_help = "Example:\n  market query --data ./data --listen 127.0.0.1:8081")]
    Query(ServeArgs),
    /// Rebuild a read model from the log and switch readers to it
    #[command(
        after_help = "Examples:\n  market replay order\n  market replay --all\n  market replay order --rollback"
    )]
    Replay(replay::ReplayArgs),
    /// Prove against the log that a read model is what it should be
    #[command(
        after_help = "Examples:\n  market verify order\n  market verify --all --json\n\nExits 1 when a row differs."
    )]
    Verify(verify::VerifyArgs),
    /// Show the read models: generations, how far behind they are, whom they hold back
    #[command(after_help = "Examples:\n  market views --json\n  market views retire order 1")]
    Views(views::ViewsArgs),
    /// Print a context's events as JSON lines, as they stand in the log
    #[command(
        after_help = "Examples:\n  market export orders > orders.jsonl\n  market export orders --from orders/3@1042"
    )]
    Export(export::ExportArgs),
    /// Print the configuration, secrets hidden
    #[command(after_help = "Example:\n  FOLDLINE_LOG__LANES=16 market config")]
    Config(ConfigArgs),
    /// Print the JSON Schemas of the stored events
    #[command(
        after_help = "Examples:\n  market schema order.placed.v1\n  market schema --asyncapi > asyncapi.json"
    )]
    Schema(schemas::SchemaArgs),
    /// Show the topics on Kafka: what is in them, how far they reach, how to read them
    #[command(
        after_help = "Examples:\n  market topics\n  market topics orders --kafka localhost:9092\n\nExits 1 when a topic is not as it should be."
    )]
    Topics(topics::TopicsArgs),
    /// Mint a token from the configured secret, for trying out a node that wants one
    #[command(
        after_help = "Examples:\n  market token --user 0115e600-0000-4000-8000-000000000001\n  FOLDLINE_TOKEN=$(market token --user me --role staff) market views"
    )]
    Token(token::TokenArgs),
}

/// How a role is started.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// The directory of the log and the tables
    #[arg(long)]
    data: Option<PathBuf>,
    /// The address to listen on; loopback, unless `auth` is configured
    #[arg(long)]
    listen: Option<std::net::SocketAddr>,
    /// Keep the log on Kafka, reached at these brokers, and not in the data directory
    #[arg(long, value_name = "HOST:PORT,…")]
    kafka: Option<String>,
    /// What the names of the log's topics begin with
    #[arg(long, requires = "kafka")]
    topic_prefix: Option<String>,
    /// A directory of read-model files to use instead of the built-in ones
    #[arg(long)]
    projections: Option<PathBuf>,
    /// How log lines look
    #[arg(long)]
    log_format: Option<crate::configuration::LogFormat>,
    #[command(flatten)]
    file: FileArgs,
}

/// Where the configuration is.
#[derive(Clone, Debug, Default, Args)]
pub struct FileArgs {
    /// The configuration file; `foldline.toml` where there is one
    #[arg(long, env = "FOLDLINE_CONFIG")]
    config: Option<PathBuf>,
}

/// How the configuration is printed.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
}

impl ServeArgs {
    fn configuration(&self) -> anyhow::Result<Configuration> {
        let mut configuration = Configuration::load(self.file.config.as_deref())?;
        if let Some(data) = &self.data {
            configuration.data.clone_from(data);
        }
        if let Some(listen) = self.listen {
            configuration.listen = listen;
        }
        if let Some(brokers) = &self.kafka {
            let kafka = configuration.log.kafka.get_or_insert_default();
            kafka.brokers.clone_from(brokers);
            if self.topic_prefix.is_some() {
                kafka.topic_prefix.clone_from(&self.topic_prefix);
            }
        }
        if let Some(projections) = &self.projections {
            configuration.projections = Some(projections.clone());
        }
        if let Some(format) = self.log_format {
            configuration.telemetry.format = format;
        }
        configuration.check()?;
        Ok(configuration)
    }
}

/// Does what the command line says.
///
/// # Errors
/// Whatever went wrong, as a sentence with a way out.
pub async fn run(application: Application, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => dev::run(application, args.configuration()?, Role::Dev).await,
        Command::Command(args) => dev::run(application, args.configuration()?, Role::Command).await,
        Command::Projector(args) => {
            dev::run(application, args.configuration()?, Role::Projector).await
        }
        Command::Query(args) => dev::run(application, args.configuration()?, Role::Query).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Views(args) => views::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Config(args) => print_configuration(&args),
        Command::Schema(args) => schemas::run(&application, &args),
        Command::Topics(args) => topics::run(&application, args).await,
        Command::Token(args) => token::run(&args),
    }
}

/// What a shell reports of a program whose reader has gone: so `verify | head` never looks clean.
const READER_GONE: i32 = 128 + 13;

/// Prints a line; where nobody reads on (`market views | head`) the tool ends quietly.
fn print_line(line: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("error: cannot print: {error}");
        }
        std::process::exit(READER_GONE);
    }
}

/// Secrets hide themselves.
fn print_configuration(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let configuration = Configuration::load(args.file.config.as_deref())?;
    if args.json {
        say!("{}", serde_json::to_string(&configuration)?);
    } else {
        print!("{}", toml::to_string(&configuration)?);
    }
    Ok(ExitCode::SUCCESS)
}
