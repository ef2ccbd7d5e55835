//! Why a cluster cannot be opened as a log.

use foldline_kernel::{Context, InvalidTopology};

use crate::Source;

/// Why the log on Kafka was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A property cannot be set by the user, or not in this build.
    #[error("the Kafka property `{property}` cannot be set: {reason}")]
    Property {
        /// The property.
        property: String,
        /// Why not, and what to do instead.
        reason: String,
    },
    /// The topic prefix is none.
    #[error(
        "`{0}` cannot begin a topic's name: it takes letters, digits, `.`, `-` and `_`, at most 200"
    )]
    Prefix(String),
    /// A context has the name of a topic that is the log's own.
    #[error(
        "the context `{0}` cannot be on Kafka: a topic of that name is the log's own; rename it"
    )]
    ReservedContext(Context),
    /// The settings describe a log that cannot be.
    #[error("no log can be created with the prefix `{prefix}`")]
    Shape {
        /// The log's prefix.
        prefix: String,
        /// What is wrong with them.
        source: InvalidTopology,
    },
    /// The topology was written by a version of the program with another format.
    #[error(
        "the log `{prefix}` has format {found}, this program knows format {known}; \
         open it with the program that wrote it"
    )]
    Format {
        /// The log's prefix.
        prefix: String,
        /// The format of the topology record.
        found: u64,
        /// The format of this program.
        known: u64,
    },
    /// The log has contexts that this program lacks, so it would reissue lane sequences.
    #[error(
        "the log `{prefix}` has the {} `{}`, which this program lacks; \
         start a program that has them all, or give this one another topic prefix",
        if missing.len() == 1 { "context" } else { "contexts" },
        missing.iter().map(Context::as_str).collect::<Vec<_>>().join("`, `")
    )]
    MissingContexts {
        /// The log's prefix.
        prefix: String,
        /// The contexts that the program lacks.
        missing: Vec<Context>,
    },
    /// The log belongs to another application.
    #[error(
        "the log `{prefix}` is named `{found}`, not `{wanted}`; \
         give this program another topic prefix"
    )]
    OtherName {
        /// The log's prefix.
        prefix: String,
        /// The name of the log.
        found: Context,
        /// The name this program gives its log.
        wanted: Context,
    },
    /// A topic is not as the log needs it.
    #[error("the topic `{topic}` {trouble}; {remedy}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        trouble: String,
        /// What mends it: a command, where one does.
        remedy: String,
    },
    /// The topology record is damaged.
    #[error("the topic `{topic}` is damaged: {trouble}; restore it from a backup")]
    Damaged {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        trouble: String,
    },
    /// The cluster cannot be reached, or refuses.
    #[error("the log `{prefix}` on {brokers} cannot be opened: {doing}")]
    Unavailable {
        /// The log's prefix.
        prefix: String,
        /// The brokers.
        brokers: String,
        /// What was being done.
        doing: String,
        /// Why.
        source: Source,
    },
}
