//! An open node answers to this machine alone.

use axum::http::{HeaderMap, header};

use crate::problem::{self, Problem};

/// Tells why a request is refused: one that was sent to another name than this machine's own, or
/// by a page of one.
///
/// The socket listens on loopback, but a page in a browser on this machine can make a name of its
/// own resolve to it (DNS rebinding); the `Host` header then still carries that name. Or it sends
/// a request whose answer it may not read, to a route that needs no body; `Origin` tells.
pub(crate) fn foreign_sender(headers: &HeaderMap) -> Option<Problem> {
    let trouble = match (foreign_host(headers), foreign_origin(headers)) {
        (None, None) => return None,
        (Some(host), _) => format!("the request was sent to `{host}`"),
        (None, Some(origin)) => format!("the request was sent by a page of `{origin}`"),
    };
    Some(Problem::new(problem::FOREIGN_HOST, trouble))
}

fn foreign_host(headers: &HeaderMap) -> Option<String> {
    foreign(headers.get(header::HOST)?.to_str().unwrap_or("?"))
}

fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("?");
    foreign(origin.split_once("://").map_or(origin, |(_, host)| host))
}

fn foreign(host: &str) -> Option<String> {
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

    #[test]
    fn only_this_machines_own_pages_are_answered() {
        let foreign = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            foreign_origin(&headers)
        };
        for own in [
            "http://localhost:3000",
            "http://[::1]",
            "https://127.0.0.1:1",
        ] {
            assert_eq!(foreign(own), None, "{own}");
        }
        for other in [
            "null",
            "https://example.org",
            "http://localhost.example.org",
        ] {
            assert!(foreign(other).is_some(), "{other}");
        }
    }
}
