//! `topics`: where the events are on Kafka, and how to read them.

mod description;
mod samples;
mod show;

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use foldline_event_log::kafka::{KafkaLog, Settings};
use foldline_kernel::Context;

use self::description::Description;
use super::FileArgs;
use crate::{Application, configuration::Configuration};

/// Where brokers usually are, for commands that are to be copied.
const USUAL_BROKERS: &str = "localhost:9092";

/// Which topics are described.
#[derive(Clone, Debug, Args)]
pub struct TopicsArgs {
    /// Only this context's topic, such as that of `orders`
    context: Option<Context>,
    #[command(flatten)]
    log: LogArgs,
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
}

/// Which log on Kafka is meant; where these do not say it, the configuration does.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LogArgs {
    /// The brokers
    #[arg(long, value_name = "HOST:PORT,…")]
    kafka: Option<String>,
    /// What the names of the log's topics begin with
    #[arg(long)]
    topic_prefix: Option<String>,
    #[command(flatten)]
    file: FileArgs,
}

impl LogArgs {
    /// Returns the log's settings, and whether somebody has said where the cluster is; brokers
    /// that nobody has named are taken to be where they usually are.
    pub(super) fn settings(&self, application: &Application) -> anyhow::Result<(Settings, bool)> {
        let configuration = Configuration::load(self.file.config.as_deref())?;
        let mut kafka = configuration.log.kafka.clone().unwrap_or_default();
        if let Some(brokers) = &self.kafka {
            kafka.brokers.clone_from(brokers);
        }
        if self.topic_prefix.is_some() {
            kafka.topic_prefix.clone_from(&self.topic_prefix);
        }
        let is_named = !kafka.brokers.trim().is_empty();
        if !is_named {
            USUAL_BROKERS.clone_into(&mut kafka.brokers);
        }
        let name = application.log_name()?;
        Ok((configuration.log.kafka(&kafka, name), is_named))
    }
}

pub(super) async fn run(application: &Application, args: TopicsArgs) -> anyhow::Result<ExitCode> {
    let (settings, is_named) = args.log.settings(application)?;
    let contexts = application.contexts().names();
    if let Some(wanted) = &args.context {
        let known: Vec<_> = contexts.iter().map(Context::as_str).collect();
        ensure!(
            contexts.contains(wanted),
            "there is no context `{wanted}`; there are {}",
            known.join(", ")
        );
    }
    let mut description = Description::new(application, &settings, &contexts);
    let looked = if is_named {
        let survey = KafkaLog::survey(settings, contexts).await;
        survey.map(|survey| description.add(application, survey))
    } else {
        Ok(())
    };
    if let Some(wanted) = &args.context {
        description.narrow(wanted);
    }
    if args.json {
        say!("{}", serde_json::to_string(&description)?);
    } else {
        show::print(&description);
    }
    looked.context("the topics could not be looked at")?;
    Ok(match description.is_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
