//! foldline-event-log
