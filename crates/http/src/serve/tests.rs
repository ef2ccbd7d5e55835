//! Clients that stop: in the middle of a request, or of an answer.

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// More than the buffers of two sockets take.
const LARGE: usize = 64 << 20;
/// How long anything may take before a test fails.
const WAIT_MAX: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);

/// Serves one connection at a time.
async fn start(bounds: Bounds) -> (std::net::SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let router = Router::new()
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route("/small", get(|| async { "small" }));
    let bounds = Bounds {
        connections_max: 1,
        ..bounds
    };
    let node = crate::Node::new(router);
    tokio::spawn(serve_within(bounds, listener, node, stop.clone()));
    (address, stop)
}

async fn send(address: std::net::SocketAddr, what: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(what.as_bytes()).await.unwrap();
    stream
}

/// Everything that comes until the connection is closed, or breaks.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let _ = tokio::time::timeout(WAIT_MAX, read).await.expect("an end");
    rest
}

const SMALL: &str = "GET /small HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

async fn assert_next_is_answered(address: std::net::SocketAddr) {
    let answer = rest(send(address, SMALL).await).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.ends_with("small"), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_let_go_and_frees_its_place() {
    let (address, stop) = start(Bounds {
        write_timeout: SHORT,
        ..Bounds::default()
    })
    .await;
    let deaf = send(address, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_next_is_answered(address).await;
    // What was under way arrives; the rest does not.
    assert!(rest(deaf).await.len() < LARGE);
    stop.cancel();
}

#[tokio::test]
async fn a_client_that_reads_gets_it_all() {
    let (address, stop) = start(Bounds {
        write_timeout: Duration::from_secs(5),
        ..Bounds::default()
    })
    .await;
    let asked = "GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(rest(send(address, asked).await).await.len() > LARGE);
    stop.cancel();
}

#[tokio::test]
async fn a_client_that_does_not_end_its_head_is_let_go_and_frees_its_place() {
    let (address, stop) = start(Bounds {
        header_timeout: SHORT,
        ..Bounds::default()
    })
    .await;
    let slow = send(address, "GET /small HTTP/1.1\r\nhost:").await;
    assert_next_is_answered(address).await;
    let told = rest(slow).await;
    assert!(!told.ends_with(b"small"));
    // Nor does one that sends nothing at all keep its place.
    let silent = send(address, "").await;
    assert_next_is_answered(address).await;
    assert_eq!(rest(silent).await, b"");
    stop.cancel();
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_frees_its_place() {
    let (address, stop) = start(Bounds {
        header_timeout: SHORT,
        ..Bounds::default()
    })
    .await;
    let idle = send(address, "GET /small HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_next_is_answered(address).await;
    assert!(rest(idle).await.ends_with(b"small"));
    stop.cancel();
}
