//! Reading the body of a command: bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::problem::{self, Problem};

/// The most bytes that the body of a command may have.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How much of a larger one is read and dropped: a client that is still sending when the node
/// closes the connection sees a broken pipe and not the answer.
const DROPPED_BYTES_MAX: usize = 16 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body to its end.
pub(crate) async fn read(body: Body) -> Result<Bytes, Problem> {
    read_within(BODY_TIMEOUT, body).await
}

async fn read_within(bound: Duration, body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(bound, collect(body)).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!("the body has not arrived within {bound:?}");
            Err(Problem::new(problem::BODY_TOO_SLOW, detail))
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            let detail = format!("the body broke off: {error}");
            Problem::new(problem::MALFORMED_BODY, detail).with("pointer", "")
        })?;
        if whole.len() + chunk.len() > BODY_BYTES_MAX {
            let mut dropped = chunk.len();
            while dropped < DROPPED_BYTES_MAX
                && let Some(Ok(chunk)) = chunks.next().await
            {
                dropped += chunk.len();
            }
            let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(problem::BODY_TOO_LARGE, detail));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    type Chunk = Result<Vec<u8>, std::io::Error>;

    fn of(chunks: Vec<Chunk>) -> Body {
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_bound() {
        let half = || Ok(vec![b'x'; BODY_BYTES_MAX / 2]);
        let whole = read(of(vec![half(), half()])).await.unwrap();
        assert_eq!(whole.len(), BODY_BYTES_MAX);
        let larger = read(of(vec![half(), half(), Ok(vec![b'x'])])).await;
        assert_eq!(larger.unwrap_err().code(), "body-too-large");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let broken = Err(std::io::Error::other("gone"));
        let read = read(of(vec![Ok(b"{".to_vec()), broken])).await;
        assert_eq!(read.unwrap_err().code(), "malformed-body");
    }

    #[tokio::test]
    async fn a_body_has_to_arrive_in_time() {
        let first = stream::iter([Chunk::Ok(b"{".to_vec())]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let read = read_within(Duration::from_millis(1), body).await;
        assert_eq!(read.unwrap_err().code(), "body-too-slow");
    }
}
