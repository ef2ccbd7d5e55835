//! foldline-http
