//! The HTTP server: bounded connections, bounded headers, a graceful end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, http::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

/// The bounds of a server's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most connections at a time; further ones wait in the listener's backlog.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, counted from when it connects or
    /// from the end of the answer before: an idle connection is closed after as long.
    pub header_timeout: Duration,
    /// How long a client may take none of an answer; then its connection is closed.
    pub write_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// How long open requests may take after the node was told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long to wait after the listener failed (too many open files) before it is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves bare routes until told to stop, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    serve_within(Bounds::default(), listener, service, stop).await;
}

/// Serves what answers requests, such as a [`Node`](crate::Node), until told to stop; then lets
/// open requests end.
pub async fn serve_within<S>(
    bounds: Bounds,
    listener: TcpListener,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let connections = Arc::new(Semaphore::new(bounds.connections_max));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout);
    loop {
        let permit = tokio::select! {
            permit = connections.clone().acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and complete: waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        // A client that stops reading would keep its connection, and what it was to be told.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(bounds.write_timeout));
        let io = TokioIo::new(Box::pin(stream));
        let connection = http.serve_connection(io, service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks concerns its client alone.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still open when the node stopped");
    }
}

#[cfg(test)]
mod tests;
