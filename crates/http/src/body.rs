//! Reading the body of a command: bounded in size, in time, and in what all of them hold.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::{self, Problem};

/// The most bytes that the body of a command may have.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How much of a larger one is read and dropped: a client that is still sending when the node
/// closes the connection sees a broken pipe and not the answer.
const DROPPED_BYTES_MAX: usize = 16 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes the larger bodies of all requests of this process may hold together.
const BODIES_BYTES_MAX: usize = 256 << 20;
/// Up to here a body is not counted against that bound: nearly all are smaller, and what they can
/// hold together is bounded by the number of connections.
const SMALL_BYTES_MAX: usize = 16 << 10;
/// When to try again what found no room.
const RETRY_AFTER_SECONDS: u32 = 1;
const KIB: usize = 1 << 10;

/// The room for larger bodies, in KiB.
static ROOM: Semaphore = Semaphore::const_new(BODIES_BYTES_MAX / KIB);

/// Reads a body to its end. Its room is free again once nobody holds it any more.
pub(crate) async fn read(body: Body) -> Result<Bytes, Problem> {
    read_within(BODY_TIMEOUT, &ROOM, body).await
}

async fn read_within(
    bound: Duration,
    room: &'static Semaphore,
    body: Body,
) -> Result<Bytes, Problem> {
    match tokio::time::timeout(bound, collect(room, body)).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!("the body has not arrived within {bound:?}");
            Err(Problem::new(problem::BODY_TOO_SLOW, detail))
        }
    }
}

async fn collect(room: &'static Semaphore, body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = Whole::default();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            let detail = format!("the body broke off: {error}");
            Problem::new(problem::MALFORMED_BODY, detail).with("pointer", "")
        })?;
        if let Err(refused) = whole.extend(room, &chunk) {
            drop(whole);
            let dropped = chunk.len();
            drop(chunk);
            drop_rest(chunks, dropped).await;
            return Err(refused);
        }
    }
    Ok(whole.freeze())
}

/// Reads and drops what the client is still sending.
async fn drop_rest(mut chunks: BodyDataStream, mut dropped: usize) {
    while dropped < DROPPED_BYTES_MAX
        && let Some(Ok(chunk)) = chunks.next().await
    {
        dropped += chunk.len();
    }
}

/// What has arrived of a body, and the room that was taken for it.
#[derive(Default)]
struct Whole {
    bytes: BytesMut,
    room: Option<SemaphorePermit<'static>>,
}

impl Whole {
    fn extend(&mut self, room: &'static Semaphore, chunk: &[u8]) -> Result<(), Problem> {
        let length = self.bytes.len() + chunk.len();
        if length > BODY_BYTES_MAX {
            let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(problem::BODY_TOO_LARGE, detail));
        }
        if length > SMALL_BYTES_MAX && length > self.bytes.capacity() {
            self.grow(room, length.next_power_of_two())?;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Takes room for all of the bytes that a body shall be able to hold, and makes it.
    fn grow(&mut self, room: &'static Semaphore, capacity: usize) -> Result<(), Problem> {
        let taken = self.room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let wanted = capacity.div_ceil(KIB).saturating_sub(taken);
        let wanted = u32::try_from(wanted).expect("a body has at most `BODY_BYTES_MAX` bytes");
        // Nobody waits here: who waited would hold what others wait for.
        let Ok(more) = room.try_acquire_many(wanted) else {
            let detail = "the bodies of the commands under way take all the room there is for them";
            return Err(Problem::new(problem::OVERLOADED, detail).retry_after(RETRY_AFTER_SECONDS));
        };
        match &mut self.room {
            Some(room) => room.merge(more),
            None => self.room = Some(more),
        }
        self.bytes.reserve(capacity - self.bytes.len());
        Ok(())
    }

    /// Hands the bytes out; their room goes with them, since a command that waits for its lane
    /// keeps them even where the client has gone.
    fn freeze(self) -> Bytes {
        match self.room {
            None => self.bytes.freeze(),
            Some(_) => Bytes::from_owner(self),
        }
    }
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
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
        let read = read_within(Duration::from_millis(1), &ROOM, body).await;
        assert_eq!(read.unwrap_err().code(), "body-too-slow");
    }

    /// Room of its own, as a test would have to share that of the process.
    fn room(bytes: usize) -> &'static Semaphore {
        Box::leak(Box::new(Semaphore::new(bytes / KIB)))
    }

    async fn read_into(room: &'static Semaphore, chunks: Vec<Chunk>) -> Result<Bytes, Problem> {
        read_within(BODY_TIMEOUT, room, of(chunks)).await
    }

    #[tokio::test]
    async fn small_bodies_take_no_room() {
        let small = (0..2)
            .map(|_| Ok(vec![b'x'; SMALL_BYTES_MAX / 2]))
            .collect();
        assert!(read_into(room(0), small).await.is_ok());
    }

    #[tokio::test]
    async fn larger_bodies_take_room_until_nobody_holds_them() {
        let room = room(BODY_BYTES_MAX);
        let body = |chunks| {
            (0..chunks)
                .map(|_| Ok(vec![b'x'; SMALL_BYTES_MAX]))
                .collect()
        };
        let held = read_into(room, body(3)).await.unwrap();
        assert_eq!(held.len(), 3 * SMALL_BYTES_MAX);
        assert_eq!(
            room.available_permits(),
            (BODY_BYTES_MAX - 4 * SMALL_BYTES_MAX) / KIB
        );
        let refused = read_into(room, body(BODY_BYTES_MAX / SMALL_BYTES_MAX))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "overloaded");
        let answer = axum::response::IntoResponse::into_response(refused);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        // What was refused, too large or slow gives back what it had taken.
        let (part, larger) = (held.slice(1..2), body(BODY_BYTES_MAX / SMALL_BYTES_MAX + 1));
        drop(held);
        assert!(
            room.available_permits() < BODY_BYTES_MAX / KIB,
            "a part is held"
        );
        drop(part);
        assert_eq!(room.available_permits(), BODY_BYTES_MAX / KIB);
        assert_eq!(
            read_into(room, larger).await.unwrap_err().code(),
            "body-too-large"
        );
        let whole = read_into(room, body(BODY_BYTES_MAX / SMALL_BYTES_MAX))
            .await
            .unwrap();
        assert_eq!(room.available_permits(), 0);
        drop(whole);
        assert_eq!(room.available_permits(), BODY_BYTES_MAX / KIB);
    }
}
