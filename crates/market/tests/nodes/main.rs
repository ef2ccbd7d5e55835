//! Three command nodes on one log on a real Kafka, each a process of its own: any of them takes
//! any command, and what befalls one of them is nobody else's trouble.
//!
//! A load of sellers goes on all the while, each with one command at a time, so that the rightful
//! answer to every command is known. Afterwards the log is read: each accepted command is there
//! once, no other is, and no writer came back after another one.

mod cluster;
mod killed;
mod load;
mod log;
mod paused;
#[allow(dead_code)]
#[path = "../topics/programs.rs"]
mod programs;
mod restarted;
mod taken;
#[allow(dead_code)]
#[path = "../topics/topics.rs"]
mod topics;

use tokio::sync::{Mutex, MutexGuard};

/// Tests take turns: what is measured is the nodes, not who waits for whose processor.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
