//! `dev`, `command`, `projector` and `query`: nodes.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::{net::TcpListener, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    Application, Role,
    configuration::{AuthSettings, Configuration},
    node::Node,
    telemetry,
};

pub(super) async fn run(
    application: Application,
    mut configuration: Configuration,
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
    // What other nodes are told, where it was left to the system to choose a port.
    configuration.listen = address;
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
    println!("  open to      {}", open_to(&configuration.auth));
    println!("  data in      {}", data.display());
    if role == Role::Dev && !try_next.is_empty() {
        let called = std::env::args_os().next().unwrap_or(name.into());
        let program = called.to_string_lossy();
        let url = format!("http://{address}");
        println!();
        print!(
            "{}",
            first_steps(try_next, &url, &program, &configuration.auth)
        );
    }
    println!();
    println!("Ctrl-C stops it.");
}

/// What a newcomer can paste; where tokens decide, with one, since all else would be refused.
fn first_steps(try_next: &str, url: &str, program: &str, auth: &AuthSettings) -> String {
    let mut text = try_next.replace("{url}", url);
    let mut title = "Try next, in another terminal:";
    if !auth.is_open() {
        let token = if auth.secret.is_some() {
            title = "Try next, in another terminal with the same configuration:";
            // Staff acts for any user, and the history of a demonstration is imported.
            format!("\"$({program} token --user operator --role staff --role import)\"")
        } else {
            "'…'  # of the roles `staff` and `import`, from whoever signs tokens".to_owned()
        };
        let with_token = r#"curl -H "authorization: Bearer $FOLDLINE_TOKEN" "#;
        text = text.replace("curl ", with_token);
        text = format!("export FOLDLINE_TOKEN={token}\n\n{text}");
    }
    let lines = text.lines().map(|line| format!("  {line}"));
    let lines: String = lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect();
    format!("{title}\n\n{lines}")
}

fn open_to(auth: &AuthSettings) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &str = "market demo\n\ncurl -s {url}/v1/views \\\n  -d '{}'";

    fn steps(auth: &str) -> String {
        let auth = toml::from_str(auth).unwrap();
        first_steps(STEPS, "http://here", "bin/market", &auth)
    }

    #[test]
    fn first_steps_on_an_open_node_take_no_token() {
        assert_eq!(
            steps(""),
            "Try next, in another terminal:\n\n  market demo\n\n  curl -s http://here/v1/views \\\n    -d '{}'\n"
        );
    }

    #[test]
    fn first_steps_show_a_token_where_one_is_wanted() {
        for (auth, export) in [
            (
                "secret = 'of no matter which length'",
                r#"  export FOLDLINE_TOKEN="$(bin/market token --user operator --role staff --role import)""#,
            ),
            ("jwks_file = 'keys.json'", "  export FOLDLINE_TOKEN='…'"),
            ("public_key_file = 'key.pem'", "  export FOLDLINE_TOKEN='…'"),
        ] {
            let steps = steps(auth);
            assert!(steps.contains(export), "{steps}");
            let shown = r#"  curl -H "authorization: Bearer $FOLDLINE_TOKEN" -s http://here/"#;
            assert!(steps.contains(shown), "{steps}");
            assert!(!steps.contains("no matter"), "{steps}");
        }
    }

    #[test]
    fn nobody_is_called_staff_where_tokens_decide() {
        for (auth, said) in [
            ("", "this machine only; every caller is staff"),
            (
                "open = true",
                "every machine that reaches it; every caller is staff",
            ),
            ("secret = 'any'", "callers with a token"),
            ("jwks_file = 'keys.json'", "callers with a token"),
        ] {
            assert_eq!(open_to(&toml::from_str(auth).unwrap()), said);
        }
    }
}
