//! An open node answers to this machine alone.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::problem::{self, Problem};

/// Refuses requests that were sent to another name than this machine's own.
///
/// The socket listens on loopback, but a page in a browser on this machine can make a name of its
/// own resolve to it (DNS rebinding); the `Host` header then still carries that name.
pub(crate) async fn own_name_only(request: Request, next: Next) -> Response {
    match foreign_host(request.headers()) {
        None => next.run(request).await,
        Some(host) => {
            let detail = format!("the request was sent to `{host}`");
            Problem::new(problem::FOREIGN_HOST, detail).into_response()
        }
    }
}

fn foreign_host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().unwrap_or("?");
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let own = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    (!own).then(|| name.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_names_are_answered() {
        let foreign = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            foreign_host(&headers)
        };
        for own in ["127.0.0.1:7373", "localhost", "LOCALHOST:1", "[::1]:7373"] {
            assert_eq!(foreign(own), None, "{own}");
        }
        for other in [
            "example.org",
            "127.0.0.1.example.org:80",
            "10.0.0.1:7373",
            "[2001::1]",
        ] {
            assert!(foreign(other).is_some(), "{other}");
        }
    }
}
