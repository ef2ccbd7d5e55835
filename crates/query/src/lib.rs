//! foldline-query
