//! The topics as others meet them: what is said of them, and what clients that are not ours read.
//!
//! The marketplace runs as a process of its own on a real Kafka. The clients are confluent-kafka
//! and the CloudEvents SDK for Python, from the package index, and kcat, from the system; the
//! example in `examples/analytics` is run as its readers run it.

mod analytics;
mod asyncapi;
mod broken_topics;
#[allow(dead_code)]
#[path = "../stored/golden.rs"]
mod golden;
mod node;
mod printed;
mod programs;
mod reading;
mod schemas;
mod topics;
