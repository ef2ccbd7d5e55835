//! `schema`: the JSON Schemas of the stored events, and the AsyncAPI document.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::{asyncapi, topics::LogArgs};
use crate::Application;

/// Which schemas are printed.
#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// A stored type, such as `order.placed.v1`; all of them by default
    type_name: Option<String>,
    /// Print the AsyncAPI document of the topics on Kafka, which has the schemas in it
    #[arg(long, conflicts_with = "type_name")]
    asyncapi: bool,
    #[command(flatten)]
    log: LogArgs,
    /// Print JSON, for machines (schemas are JSON anyway)
    #[arg(long)]
    json: bool,
}

pub(super) fn run(application: &Application, args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    if args.asyncapi {
        let (settings, _) = args.log.settings(application)?;
        let document = asyncapi::document(application, &settings);
        say!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(ExitCode::SUCCESS);
    }
    let schemas = application.schemas();
    let Some(wanted) = &args.type_name else {
        if args.json {
            say!("{}", serde_json::to_string(&schemas)?);
        } else {
            say!("{}", serde_json::to_string_pretty(&schemas)?);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(schema) = schemas.get(wanted) else {
        let known: Vec<_> = schemas.keys().map(String::as_str).collect();
        bail!(
            "there is no stored type `{wanted}`; there are {}",
            known.join(", ")
        );
    };
    say!("{}", serde_json::to_string_pretty(schema)?);
    Ok(ExitCode::SUCCESS)
}
