//! foldline-read-model
