//! The command side over the embedded log, in a world where appends fail on command.
//!
//! Most tests run on one thread: what can run without the log has run after [`world::quiet`], so
//! that "has no answer yet" can be told without waiting for a clock.

mod answers;
mod contexts;
mod failures;
mod idempotency;
mod limits;
mod passing;
mod quarantine;
mod random;
mod rounds;
mod snapshots;
mod states;
mod store;
mod waiting;
mod world;
