//! Why a directory cannot be opened as a log.

use std::path::PathBuf;

use foldline_kernel::{Context, InvalidTopology, Lane, LaneSequence};

use crate::{Corruption, Source};

/// Why the embedded log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle in this one, has the log open.
    #[error(
        "the log in {} is in use by another process; stop that one, or talk to it over HTTP",
        dir.display()
    )]
    InUse {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The directory was written by a version of the program with another format.
    #[error(
        "the log in {} has format {found}, this program knows format {known}; \
         open it with the program that wrote it",
        dir.display()
    )]
    Format {
        /// The log's directory.
        dir: PathBuf,
        /// The format of the directory.
        found: u64,
        /// The format of this program.
        known: u64,
    },
    /// The log has contexts that this program lacks, so it would reissue lane sequences.
    #[error(
        "the log in {} has the {} `{}`, which this program lacks; \
         start a program that has them all, or point this one at another directory",
        dir.display(),
        if missing.len() == 1 { "context" } else { "contexts" },
        missing.iter().map(Context::as_str).collect::<Vec<_>>().join("`, `")
    )]
    MissingContexts {
        /// The log's directory.
        dir: PathBuf,
        /// The contexts that the program lacks.
        missing: Vec<Context>,
    },
    /// The log belongs to another application.
    #[error(
        "the log in {} is named `{found}`, not `{wanted}`; point the program at another directory",
        dir.display()
    )]
    OtherName {
        /// The log's directory.
        dir: PathBuf,
        /// The name of the log.
        found: Context,
        /// The name this program gives its log.
        wanted: Context,
    },
    /// The settings describe a log that cannot be.
    #[error("no log can be created in {}", dir.display())]
    Settings {
        /// The log's directory.
        dir: PathBuf,
        /// What is wrong with them.
        source: InvalidTopology,
    },
    /// A lane's stored data breaks an invariant.
    #[error(
        "the log in {} is corrupt: lane {lane} at lane sequence {at}: {corruption}; \
         restore the directory from a backup",
        dir.display()
    )]
    Corrupt {
        /// The log's directory.
        dir: PathBuf,
        /// The lane.
        lane: Lane,
        /// Where in the lane.
        at: LaneSequence,
        /// What is wrong.
        corruption: Box<Corruption>,
    },
    /// A file of the log as a whole is damaged or missing.
    #[error(
        "the log in {} is damaged: `{file}`: {trouble}; restore the directory from a backup",
        dir.display()
    )]
    Damaged {
        /// The log's directory.
        dir: PathBuf,
        /// The file or folder in it.
        file: String,
        /// What is wrong.
        trouble: String,
    },
    /// The directory cannot be read or written now.
    #[error("the log in {} cannot be opened", dir.display())]
    Unavailable {
        /// The log's directory.
        dir: PathBuf,
        /// Why.
        source: Source,
    },
}
