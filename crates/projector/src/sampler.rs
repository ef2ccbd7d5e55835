//! Takes lag and metrics of every read model now and then.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    feeds::{self, Ends},
    parts::Shared,
    stopping,
    view::View,
};

/// Samples until it is told to stop.
pub(crate) async fn run(
    shared: Arc<Shared>,
    views: Arc<[Arc<View>]>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        // Out of reach for now: the gauges stay as they were.
        if let Ok(ends) = feeds::ends(shared.log.as_ref()).await {
            views.iter().for_each(|view| sample(view, &ends));
        }
        tokio::select! {
            () = stopping::asked(&mut stop) => return,
            () = tokio::time::sleep(shared.settings.sample_every) => {}
        }
    }
}

fn sample(view: &View, ends: &Ends) {
    let serving = view.serving();
    for live in view.generations() {
        // Taken of every generation, since each keeps its own goals.
        let lag = live.lag(ends);
        if serving
            .as_ref()
            .is_none_or(|serving| serving.number != live.number)
        {
            continue;
        }
        let name = || view.name.to_string();
        metrics::gauge!("foldline_view_events_behind", "view" => name())
            .set(live.behind(ends) as f64);
        metrics::gauge!("foldline_view_lag_seconds", "view" => name()).set(lag.as_secs_f64());
        metrics::gauge!("foldline_view_parked", "view" => name()).set(live.parked() as f64);
    }
}
