//! The event that every request appends, and the answer it gets.

use anyhow::Result;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use foldline_http::{FOLDLINE_POSITION, IDEMPOTENCY_KEY};
use foldline_kernel::{EventId, Position, Timestamp, UserId, Version};
use foldline_schema::{CommandPart, NewEvent, command_hash};
use uuid::Uuid;

/// The event's and the command's id.
const ID: &str = "019aa7c2-6f4e-7b31-9d05-3c8e51f7a2b4";
/// What it is.
const TYPE: &str = "order.placed.v1";
/// When it happened, in microseconds.
const TIME_MICROS: i64 = 1_795_000_000_123_456;
/// What placing the order of the load leaves in the log.
const DATA: &str = r#"{"order_id":"00000101-0000-4000-8000-00000000002a","placed_at":"2026-11-18T10:26:40.123456Z","currency":"BRL","lines":[{"product_id":"5f1d0a4c-7b3e-4a52-9c11-d2f867b3a90e","seller_id":"c93e5b27-10f4-4d86-8e2a-6b7d0c4f915a","quantity":1,"unit_price_cents":12990,"freight_cents":1572}],"items_cents":12990,"freight_cents":1572,"total_cents":14562}"#;

/// Returns the event; only its subject differs from request to request.
pub(crate) fn event() -> Result<NewEvent> {
    let context = "orders".parse()?;
    Ok(NewEvent {
        id: EventId(ID.parse()?),
        type_name: TYPE.into(),
        subject: UserId(Uuid::nil()),
        time: Timestamp::from_micros(TIME_MICROS)?,
        stream_version: Version(7),
        command_id: ID.parse()?,
        command_hash: command_hash(&context, "place", b"{}"),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: Default::default(),
        data: Bytes::from_static(DATA.as_bytes()),
        context,
    })
}

/// Returns an answer with the headers and the bytes of a node's.
pub(crate) fn answer(position: Position) -> Response {
    let position = position.to_string();
    let body = format!(
        r#"{{"events":[{{"id":"{ID}","type":"{TYPE}"}}],"version":7,"position":"{position}"}}"#
    );
    let json = HeaderValue::from_static("application/json");
    let mut response = (StatusCode::CREATED, [(header::CONTENT_TYPE, json)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static("\"7\""));
    headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(ID));
    if let Ok(position) = HeaderValue::try_from(position) {
        headers.insert(FOLDLINE_POSITION, position);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_one_that_a_log_takes() {
        let event = event().unwrap();
        assert_eq!(event.id.to_string(), ID);
        assert_eq!(event.context.as_str(), "orders");
        assert_eq!(answer("orders/3@1042".parse().unwrap()).status(), 201);
    }
}
