//! Ports for a cluster: the same ones for as long as it lives.

use std::net::TcpListener;

use anyhow::{Context as _, Result};

/// Below the ports that the system gives to whoever connects: one of those could be taken while
/// its process is down.
const PORTS: std::ops::Range<u16> = 24_000..31_000;

/// Returns so many ports in a row that nobody listens on.
///
/// # Errors
/// When there are not so many.
pub(super) fn free(count: u16) -> Result<impl Iterator<Item = u16>> {
    let spread = u16::try_from(std::process::id() % 60).expect("less than 60") * 100;
    let starts = (PORTS.start + spread..PORTS.end - count).step_by(usize::from(count));
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = starts
        .into_iter()
        .find(|first| (*first..*first + count).all(is_free))
        .context("no ports are free between 24000 and 31000")?;
    Ok(first..first + count)
}
