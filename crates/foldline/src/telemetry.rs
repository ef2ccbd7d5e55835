//! Log lines and metrics.

use std::io::IsTerminal;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::configuration::{LogFormat, TelemetrySettings};

/// Upper bounds of the latency histograms, in seconds.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Upper bounds of the batch-size histograms, in events.
const EVENTS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 50000.0,
];

/// Begins to print log lines, on standard error.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn start_tracing(settings: &TelemetrySettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.filter)
        .with_context(|| format!("`{}` is no filter of log lines", settings.filter))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second call (tests with several nodes in one process) keeps the first subscriber.
    let _ = match settings.format {
        LogFormat::Pretty => lines.with_target(false).compact().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Begins to collect metrics; the handle renders them for Prometheus.
///
/// # Errors
/// When the process collects metrics already.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_events".into()), EVENTS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "foldline_commands_total",
        "Commands, by context and outcome"
    );
    describe_histogram!(
        "foldline_command_seconds",
        Unit::Seconds,
        "From submission to answer"
    );
    describe_histogram!("foldline_batch_events", "Events in one append");
    describe_histogram!(
        "foldline_log_commit_events",
        "Events in one synced commit of the log"
    );
    describe_histogram!(
        "foldline_log_commit_seconds",
        Unit::Seconds,
        "One synced commit of the log"
    );
    describe_gauge!("foldline_queue_commands", "Commands that wait, by lane");
    describe_gauge!("foldline_lanes_owned", "Lanes that this node serves");
    describe_counter!(
        "foldline_lane_changes_total",
        "Lanes that were assigned to this node, handed over, lost, taken back"
    );
    describe_counter!(
        "foldline_passed_on_total",
        "Attempts to have commands decided by other nodes, by outcome"
    );
    describe_gauge!(
        "foldline_quarantined_users",
        "Users whose commands are not decided"
    );
    describe_histogram!(
        "foldline_query_seconds",
        Unit::Seconds,
        "From request to answer"
    );
    describe_gauge!(
        "foldline_view_events_behind",
        "Events a view has yet to absorb"
    );
    describe_gauge!(
        "foldline_view_lag_seconds",
        Unit::Seconds,
        "How long a view has been behind"
    );
    describe_gauge!("foldline_view_parked", "Users a view holds back");
    describe_gauge!(
        "foldline_projector_lanes",
        "Lanes that this process follows for the views"
    );
    describe_counter!("foldline_view_events_total", "Events a view has absorbed");
    describe_histogram!(
        "foldline_view_batch_events",
        "Events in one commit of a view"
    );
}
