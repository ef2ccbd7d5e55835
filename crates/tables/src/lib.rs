//! foldline-tables
