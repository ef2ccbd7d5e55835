//! `export`: a context's events as JSON lines.

use std::{io::Write, process::ExitCode};

use anyhow::ensure;
use clap::Args;
use foldline_kernel::{Context, Position};
use futures::StreamExt;

use super::client::{Client, NodeArgs};

/// What is exported.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The context, such as `orders`
    context: Context,
    /// Begin at this position, in its partition alone
    #[arg(long, value_name = "POSITION")]
    from: Option<Position>,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let mut path = format!("/v1/admin/export/{}", args.context);
    if let Some(from) = &args.from {
        ensure!(
            from.context == args.context,
            "`{from}` is not a position of `{}`: export `{}` instead",
            args.context,
            from.context,
        );
        path.push_str(&format!("?from={}@{}", from.partition, from.sequence));
    }
    let response = Client::new(&args.node)?.get(&path).await?;
    let mut stream = response.bytes_stream();
    let mut out = std::io::stdout().lock();
    let mut last = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| anyhow::anyhow!("the export broke off: {error}"))?;
        last = chunk.last().copied().or(last);
        match out.write_all(&chunk) {
            // `market export orders | head` is no error.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    ensure!(
        last.is_none_or(|byte| byte == b'\n'),
        "the export broke off within an event"
    );
    out.flush().or_else(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })?;
    Ok(ExitCode::SUCCESS)
}
