//! The floor of `cargo xtask bench commands`: the least work with which a command can be durable.
//! On Kafka that is one produced record per request (`kafka.rs`).
//!
//! The server, the log, its lanes and its sync are those of a node. Between them nothing is
//! decided, parsed or looked up: each request appends one ready-made event, of the bytes that the
//! command would have left, and is answered with the headers and the bytes of a real answer.

mod kafka;
mod lane;
mod ready_made;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use foldline_event_log::{Announcement, Embedded, EventLog, embedded::Settings};
use foldline_kernel::{Topology, UserId};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use kafka::Produced;
use lane::LaneQueue;

// As in the node that is measured beside it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The contexts of the marketplace, so that the log has the same partitions.
const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];

/// Answers each request with one durable append of a ready-made event.
#[derive(Parser)]
struct Arguments {
    /// The directory of the log
    #[arg(long)]
    data: PathBuf,
    /// The address to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// Produce to Kafka at these brokers instead
    #[arg(long)]
    kafka: Option<String>,
    /// What the topic's name begins with
    #[arg(long, default_value = "")]
    topic_prefix: String,
    /// One transaction of Kafka for each request
    #[arg(long)]
    transactions: bool,
}

/// What a request reaches.
enum Floor {
    Embedded(Lanes),
    Kafka(Produced),
}

/// The shape of the log, and one queue per lane.
struct Lanes {
    topology: Topology,
    queues: Vec<LaneQueue>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let floor = match &arguments.kafka {
        None => Floor::Embedded(open(&arguments).await?),
        Some(brokers) => Floor::Kafka(
            Produced::open(brokers, &arguments.topic_prefix, arguments.transactions).await?,
        ),
    };
    let routes = Router::new()
        .route("/v1/users/{user_id}/{context}/{command}", post(append))
        .route("/readyz", get(async || "ready"))
        .with_state(Arc::new(floor));
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    foldline_http::serve(listener, routes, CancellationToken::new()).await;
    Ok(())
}

async fn open(arguments: &Arguments) -> Result<Lanes> {
    let settings = Settings {
        name: "market".parse()?,
        lanes: Settings::LANES,
        contexts: CONTEXTS
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
    };
    let log = Embedded::open(&arguments.data.join("log"), settings)?;
    let mut queues = Vec::new();
    for lane in log.topology().all_lanes() {
        queues.push(LaneQueue::serve(
            log.open_writer(lane, Announcement::default()).await?,
        )?);
    }
    Ok(Lanes {
        topology: log.topology().clone(),
        queues,
    })
}

/// Takes the whole body, as a node does, and looks at no byte of it.
async fn append(
    State(floor): State<Arc<Floor>>,
    Path((user, _context, _command)): Path<(String, String, String)>,
    _body: Bytes,
) -> Response {
    let Ok(user) = user.parse::<UserId>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let position = match &*floor {
        Floor::Embedded(lanes) => {
            let lane = lanes.topology.lane_of(user);
            lanes.queues[lane.index()].append(user).await
        }
        Floor::Kafka(produced) => produced.append(user).await,
    };
    match position {
        Some(position) => ready_made::answer(position),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
