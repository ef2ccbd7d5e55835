//! The whole way on real input: a data set goes in through `market import olist`, and every row of
//! every read model that comes out equals what these tests compute from the files themselves.
//! Nothing here uses a crate of this repository: the binary, HTTP and MARKET.md are all it knows.

mod dataset;
mod dice;
mod expected;
mod failpoints;
mod figures;
mod history;
mod import;
mod kill;
mod log;
mod node;
mod nodes;
#[allow(dead_code)]
#[path = "../topics/programs.rs"]
mod programs;
mod queries;
mod questions;
mod rules;
mod sample;
#[allow(dead_code)]
#[path = "../topics/topics.rs"]
mod topics;

use tokio::sync::{Mutex, MutexGuard};

/// Tests that run a node take turns: together they would only wait for each other's processor.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
