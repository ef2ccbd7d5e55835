//! Read models kept up with the log: follow, fold, commit; build anew; prove.
//!
//! ```text
//!   log ──▶ lanes: check, fold ──▶ one change per row ──▶ one commit: rows and checkpoints
//!
//!   generation 3  ════════════════════════════╗ serves      ═══ is followed
//!   generation 4            ══ is built ══════╝── serves ═══
//!                                             └ not behind on any lane: switch
//! ```
//!
//! [`Projectors`] runs all read models of a process. Each event has exactly one effect on each:
//! a commit moves the checkpoints only from where this projector last saw them, together with the
//! rows. This crate knows no SQL, no HTTP and no command; it is given a log and tables.
//!
//! Several processes share the lanes: each follows those it is told, and all of them look after
//! each read model. Which lanes those are is for balance only; the checkpoints fence.
//!
//! What is absent here: no state that a restart would miss. Everything that is not in the tables
//! is read again from the log.
//!
//! Start reading at [`Projectors`]; then `supervisor.rs` (which generations there are),
//! `projector.rs` and `pipeline.rs` (how one is followed), `verify.rs`.

mod assembly;
mod backoff;
mod care;
mod chunk;
mod error;
mod feeds;
mod lag;
mod lane;
mod live;
mod order;
mod parts;
mod pipeline;
mod plan;
mod projector;
mod projectors;
mod readers;
mod replay;
mod sampler;
mod settings;
mod share;
mod source;
mod standing_by;
mod status;
mod stopping;
mod supervisor;
mod tamper;
mod verify;
mod view;

pub use error::{ReplaceError, RetireError, RollbackError};
pub use parts::{Load, Notice, Parts};
pub use projectors::Projectors;
pub use replay::{ReplayError, ReplayEstimate, ReplayPhase, ReplayProgress};
pub use settings::Settings;
pub use status::{Doing, GenerationStatus, LaneCheckpoint, StoppedLane, ViewStatus};
pub use verify::{
    ColumnDifference, Difference, DifferenceKind, Verification, VerifyError, VerifyOptions,
    VerifyPhase, VerifyProgress, VerifyReport,
};
