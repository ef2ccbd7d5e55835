//! Takes lag and metrics of every read model now and then.

use std::{sync::Arc, time::Instant};

use foldline_tables::GenerationState;
use tokio::sync::watch;

use crate::{
    feeds::{self, Ends},
    live::Live,
    parts::Shared,
    stopping,
    view::View,
};

/// How many times as long as a sample took it rests, at least: where the log is far away and has
/// many lanes, whoever looks all the time is a load.
const REST: u32 = 4;

/// Samples until it is told to stop.
pub(crate) async fn run(
    shared: Arc<Shared>,
    views: Arc<[Arc<View>]>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let began = Instant::now();
        let ends = feeds::ends(shared.log.as_ref()).await.ok();
        let pause = shared.settings.sample_every.max(began.elapsed() * REST);
        views.iter().for_each(|view| sample(view, ends.as_ref()));
        tokio::select! {
            () = stopping::asked(&mut stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What is not known is not a number: neither the value of before nor 0 would be true.
fn sample(view: &View, ends: Option<&Ends>) {
    // Taken of every generation, since each keeps its own goals.
    let lags: Vec<_> = view
        .generations()
        .into_iter()
        .map(|live| {
            let lag = ends.and_then(|ends| live.lag(ends));
            (live, lag)
        })
        .collect();
    let serves = |(live, _): &&(Arc<Live>, _)| live.state() == GenerationState::Serving;
    let serving = lags.iter().find(serves);
    let lag = serving.and_then(|(_, lag)| *lag);
    let known = serving.filter(|(live, _)| live.is_known());
    let behind = known.zip(ends).map(|((live, _), ends)| live.behind(ends));
    let parked = known.map(|(live, _)| live.parked());
    let name = || view.name.to_string();
    metrics::gauge!("foldline_view_events_behind", "view" => name())
        .set(behind.map_or(f64::NAN, |behind| behind as f64));
    metrics::gauge!("foldline_view_lag_seconds", "view" => name())
        .set(lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
    metrics::gauge!("foldline_view_parked", "view" => name())
        .set(parked.map_or(f64::NAN, |parked| parked as f64));
}
