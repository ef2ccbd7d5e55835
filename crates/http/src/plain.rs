//! What the web framework refuses by itself is a problem too.

use axum::{
    body::to_bytes,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::problem::{self, Problem};

/// The most bytes of a plain refusal that are passed on.
const DETAIL_BYTES_MAX: usize = 1024;

/// Turns a refusal in plain text, such as one about a path that is no UTF-8, into a problem.
pub(crate) async fn as_problem(response: Response) -> Response {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_plain = media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/"));
    let status = response.status();
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let text = to_bytes(response.into_body(), DETAIL_BYTES_MAX).await;
    let detail = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => problem::BODY_TOO_LARGE,
        status if status.is_client_error() => problem::MALFORMED_REQUEST,
        _ => problem::INTERNAL,
    };
    Problem::new(code, detail).into_response()
}
