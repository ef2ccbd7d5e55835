//! Commands over HTTP, of users anywhere among all there are.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use foldline_kernel::UserId;
use uuid::Uuid;

use crate::node::Node;

/// Callers, each of whom waits for an answer before the next command.
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) users: u64,
    /// A number that no other load on the same data has.
    pub(crate) salt: u32,
}

/// What a caller's stack needs.
const STACK_BYTES: usize = 128 << 10;

impl Load {
    /// Sends for some time, and returns how many commands were accepted; all must be.
    pub(crate) fn run(&self, node: &Node, time: Duration) -> Result<u64> {
        let (accepted, failed) = self.send(node.address, time, || Ok(()))?;
        ensure!(failed == 0, "{failed} commands were not accepted");
        ensure!(accepted > 0, "no command was accepted");
        Ok(accepted)
    }

    /// Sends for some time and then kills the node, while commands are under way.
    pub(crate) fn run_until_killed(&self, node: &mut Node, time: Duration) -> Result<u64> {
        let (accepted, _) = self.send(node.address, time, || node.kill())?;
        ensure!(accepted > 0, "no command was accepted");
        Ok(accepted)
    }

    fn send(
        &self,
        address: SocketAddr,
        time: Duration,
        at_end: impl FnOnce() -> Result<()>,
    ) -> Result<(u64, u64)> {
        let ended = Arc::new(AtomicBool::new(false));
        let (accepted, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut callers = Vec::new();
        for caller in 0..self.connections {
            let (ended, accepted, failed) = (ended.clone(), accepted.clone(), failed.clone());
            let (users, seed) = (self.users, (u64::from(self.salt) << 32) | caller as u64);
            let calling = move || {
                if call(address, users, seed, &ended, &accepted).is_err() {
                    failed.fetch_add(1, Relaxed);
                }
            };
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            callers.push(builder.spawn(calling)?);
        }
        std::thread::sleep(time);
        let done = at_end();
        ended.store(true, Relaxed);
        for caller in callers {
            let _ = caller.join();
        }
        done?;
        Ok((accepted.load(Relaxed), failed.load(Relaxed)))
    }
}

fn call(
    address: SocketAddr,
    users: u64,
    seed: u64,
    ended: &AtomicBool,
    accepted: &AtomicU64,
) -> Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let mut answers = BufReader::new(connection.try_clone()?);
    for n in 0_u64.. {
        if ended.load(Relaxed) {
            break;
        }
        let dice = mix(seed ^ mix(n));
        connection.write_all(&request(address, user(dice % users), dice))?;
        ensure!(status(&mut answers)? == 201, "not accepted");
        accepted.fetch_add(1, Relaxed);
    }
    Ok(())
}

fn request(address: SocketAddr, user: UserId, dice: u64) -> Vec<u8> {
    let (order, product, seller) = (id(mix(dice)), id(dice % 30_000), id(dice % 3_000));
    let body = format!(
        r#"{{"order_id":"{order}","lines":[{{"product_id":"{product}","seller_id":"{seller}","quantity":1,"unit_price_cents":{},"freight_cents":{}}}]}}"#,
        990 + dice % 50_000,
        500 + dice % 4_000,
    );
    let head = format!(
        "POST /v1/users/{user}/orders/place HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len(),
    );
    (head + &body).into_bytes()
}

/// Reads one answer to its end.
fn status(answers: &mut impl BufRead) -> Result<u16> {
    let (mut line, mut length) = (String::new(), 0);
    answers.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default().parse()?;
    loop {
        line.clear();
        ensure!(answers.read_line(&mut line)? > 0, "cut off");
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    std::io::copy(&mut answers.take(length), &mut std::io::sink())?;
    Ok(status)
}

/// Returns the id of a user.
pub(crate) fn user(number: u64) -> UserId {
    UserId(id(number ^ (1 << 60)))
}

/// Returns an id that follows from a number.
pub(crate) fn id(number: u64) -> Uuid {
    let (high, low) = (mix(number), mix(mix(number) ^ number));
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): numbers that look random.
pub(crate) fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
