//! foldline-command
