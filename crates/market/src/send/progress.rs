//! Shows how far a run is, on stderr: a bar on a terminal, a line every few seconds elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use super::summary::grouped;
use super::tally::Tally;

const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR: &str = "{bar:32} {human_pos} of {human_len}, {rate} a second, {eta} left {wide_msg}";

/// Follows `tally` up to `total` commands; never returns, drop it when the run is over.
pub(super) async fn show(tally: Arc<Tally>, total: u64, quiet: bool) {
    if quiet {
        std::future::pending::<()>().await;
    } else if std::io::stderr().is_terminal() {
        show_bar(&tally, total).await;
    } else {
        show_lines(&tally, total).await;
    }
}

async fn show_bar(tally: &Tally, total: u64) {
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // A bar that cannot be written is not worth stopping for.
        let _ = out.write_str(&grouped(state.per_sec() as u64));
    };
    let style = ProgressStyle::with_template(BAR)
        .expect("the template is a valid one")
        .with_key("rate", rate);
    let bar = Cleared(ProgressBar::new(total).with_style(style));
    let mut ticks = ticks(BAR_EVERY);
    loop {
        ticks.tick().await;
        bar.0.set_position(tally.sent());
        bar.0.set_message(tally.trouble().unwrap_or_default());
    }
}

async fn show_lines(tally: &Tally, total: u64) {
    let mut ticks = ticks(LINE_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        eprintln!(
            "{}",
            line(tally.sent(), total, tally.elapsed(), tally.trouble())
        );
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn line(sent: u64, total: u64, elapsed: Duration, trouble: Option<String>) -> String {
    let rate = sent as f64 / elapsed.as_secs_f64().max(0.001);
    let (done, all) = (grouped(sent), grouped(total));
    let left = match rate {
        rate if rate > 0.0 => format!("{:.0} s left", total.saturating_sub(sent) as f64 / rate),
        _ => "time left unknown".to_owned(),
    };
    let trouble = trouble
        .map(|why| format!("; waiting: {why}"))
        .unwrap_or_default();
    format!(
        "{done} of {all} sent, {} a second, {left}{trouble}",
        grouped(rate as u64)
    )
}

/// Takes the bar off the screen however the run ends.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let at = Duration::from_secs(5);
        assert_eq!(
            line(5_000, 126_533, at, None),
            "5,000 of 126,533 sent, 1,000 a second, 122 s left"
        );
        assert_eq!(
            line(0, 10, at, Some("connection refused".into())),
            "0 of 10 sent, 0 a second, time left unknown; waiting: connection refused"
        );
    }
}
