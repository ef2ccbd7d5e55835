//! The options that every command of the clients takes.

use std::time::Duration;

use reqwest::Url;

use super::SendError;

/// Where to send commands, and how hard to try.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SendArgs {
    /// Where the node listens
    #[arg(
        long,
        value_name = "URL",
        env = "FOLDLINE_URL",
        default_value = "http://127.0.0.1:7373"
    )]
    pub(crate) url: String,

    /// Print the summary as one line of JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,

    /// How many users' commands are under way at the same time
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,

    /// Give up after so many seconds in which not one command was answered
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) patience: u64,

    #[command(flatten)]
    pub(crate) bearer: foldline::cli::BearerArgs,
}

impl SendArgs {
    /// The node's address without a slash at its end; refuses what cannot be one.
    pub(crate) fn base(&self) -> Result<String, SendError> {
        let bad = |why: &str| SendError::BadUrl {
            url: self.url.clone(),
            why: why.to_owned(),
        };
        let url = Url::parse(&self.url).map_err(|error| bad(&error.to_string()))?;
        if url.scheme() != "http" {
            return Err(bad("only http:// is spoken here"));
        }
        Ok(self.url.trim_end_matches('/').to_owned())
    }

    /// How long to go on while nothing is answered.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}
