//! `token`: mints a token from the configured secret, and how tools show one.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;

use super::FileArgs;
use crate::configuration::{Configuration, Secret};

/// Whose token it is, and what it may do.
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// Whose it is: a user's id, or the name of somebody who is no user
    #[arg(long, value_name = "ID")]
    user: String,
    /// A role it has: `staff`, `import`, or one that a query asks for; any number of them
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// How long it is good
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    valid_seconds: u32,
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let auth = Configuration::load(args.file.config.as_deref())?.auth;
    let secret = auth.secret.as_ref().context(
        "a token is minted from a shared secret: set `auth.secret`, for the node too, or let \
         whoever has the private key sign one",
    )?;
    let token = foldline_http::mint(
        secret.reveal().as_bytes(),
        &args.user,
        &args.role,
        auth.issuer.as_deref(),
        auth.audience.as_deref(),
        Duration::from_secs(args.valid_seconds.into()),
    )
    .context("`auth.secret`")?;
    if args.json {
        say!("{}", json!({ "token": token }));
    } else {
        say!("{token}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The token that a tool shows.
#[derive(Clone, Debug, Default, Args)]
pub struct BearerArgs {
    /// The token to show, where the node wants one
    #[arg(long, env = "FOLDLINE_TOKEN", hide_env_values = true, global = true)]
    token: Option<Secret>,
}

impl BearerArgs {
    /// The header that shows it; none where there is no token.
    ///
    /// # Errors
    /// When it has a character that no token has.
    pub fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {}", token.reveal().trim());
            let mut bearer = HeaderValue::try_from(bearer).context("`--token` is no token")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(headers)
    }
}
