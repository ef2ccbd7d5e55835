//! foldline
