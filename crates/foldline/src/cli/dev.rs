//! `dev`, `command`, `projector` and `query`: nodes.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::{net::TcpListener, signal};
use tokio_util::sync::CancellationToken;

use crate::{Application, Role, configuration::Configuration, node::Node, telemetry};

pub(super) async fn run(
    application: Application,
    configuration: Configuration,
    role: Role,
) -> anyhow::Result<ExitCode> {
    telemetry::start_tracing(&configuration.telemetry)?;
    let metrics = telemetry::start_metrics()?;
    let listener = TcpListener::bind(configuration.listen)
        .await
        .with_context(|| {
            format!(
                "cannot listen on {}: choose another address with `--listen`",
                configuration.listen
            )
        })?;
    let address = listener.local_addr()?;
    let (name, try_next) = (application.name(), application.try_next_text());
    let node = Node::start(application, configuration.clone(), role, metrics).await?;
    welcome(name, try_next, &configuration, address, role);
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            interrupted().await;
            eprintln!("stopping: open requests are answered, nothing is lost");
            stop.cancel();
        }
    });
    node.serve(listener, stop).await;
    Ok(ExitCode::SUCCESS)
}

fn welcome(
    name: &str,
    try_next: &str,
    configuration: &Configuration,
    address: std::net::SocketAddr,
    role: Role,
) {
    let data = std::path::absolute(&configuration.data).unwrap_or(configuration.data.clone());
    println!(
        "{name} {} ({role}, {})",
        env!("CARGO_PKG_VERSION"),
        match &configuration.log.kafka {
            None => "embedded log and tables".to_owned(),
            Some(kafka) => format!("log on Kafka at {}, embedded tables", kafka.brokers),
        }
    );
    println!();
    println!("  listens on   http://{address}");
    println!("  open to      {}", open_to(configuration));
    println!("  data in      {}", data.display());
    if role == Role::Dev && !try_next.is_empty() {
        println!();
        println!("Try next, in another terminal:");
        println!();
        for line in try_next.lines() {
            println!(
                "{}",
                format!("  {}", line.replace("{url}", &format!("http://{address}"))).trim_end()
            );
        }
    }
    println!();
    println!("Ctrl-C stops it.");
}

fn open_to(configuration: &Configuration) -> &'static str {
    let auth = &configuration.auth;
    match (auth.is_open(), auth.open) {
        (false, _) => "callers with a token",
        (true, true) => "every machine that reaches it; every caller is staff",
        (true, false) => "this machine only; every caller is staff",
    }
}

/// Waits for Ctrl-C or, where there is one, a termination signal.
async fn interrupted() {
    #[cfg(unix)]
    {
        let Ok(mut terminated) = signal::unix::signal(signal::unix::SignalKind::terminate()) else {
            let _ = signal::ctrl_c().await;
            return;
        };
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = signal::ctrl_c().await;
    }
}
