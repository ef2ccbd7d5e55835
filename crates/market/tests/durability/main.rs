//! What was answered with success stays, whatever happens to the machine below: the power goes,
//! the disk is full, a byte rots, somebody stops the node. All on the real binary, from outside.
//!
//! The tests that let a disk forget load a small library in front of the C library
//! (`unsynced.c`), which is a thing of Linux; so is the file system of limited size.
#![cfg(target_os = "linux")]

mod check;
mod damage;
mod disk;
mod full;
mod load;
mod node;
mod power;
mod room;
mod stop;
mod taken;
mod trace;

use tokio::sync::{Mutex, MutexGuard};

/// Tests that run a node take turns: together they would only wait for each other's processor.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
