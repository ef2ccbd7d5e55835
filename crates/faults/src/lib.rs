//! Faults on a real broker under load: what `cargo xtask faults` runs.
//!
//! A [`cluster::Cluster`] is a broker and nodes of the marketplace, every one a process of its
//! own, with a proxy between each node and the broker. A [`load::Load`] sends it commands and
//! notes every answer. A [`faults::Fault`] befalls one process or the way to it, round by round,
//! as the seed has it. The [`checker`] then holds the answers against the topics and the tables.
//!
//! The checker shares no code with what it checks: it reads the topics with a plain consumer of
//! committed records, parses them with `serde_json` and has rules of its own.
//!
//! Start reading at [`rounds`].

pub mod checker;
pub mod cluster;
pub mod faults;
pub mod load;
pub mod report;
pub mod rounds;
pub mod settings;

/// Milliseconds and the like, as one reads them in a line of text.
pub(crate) fn seconds(time: std::time::Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
