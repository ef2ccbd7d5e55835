//! Bad input over real HTTP: each kind has its own clear answer, and nothing is written.

mod ask;
mod auth;
mod codes;
mod commands;
#[allow(dead_code)]
#[path = "../stored/golden.rs"]
mod golden;
#[allow(dead_code)]
#[path = "../durability/node.rs"]
mod node;
mod page;
mod tools;
mod trouble;
mod views;

use tokio::sync::{Mutex, MutexGuard};

/// Tests that run a node take turns: together they would only wait for each other's processor.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
