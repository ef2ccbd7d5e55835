//! The node that is measured, as a process of its own.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

const READY_WITHIN: Duration = Duration::from_secs(900);
const STOPPED_WITHIN: Duration = Duration::from_secs(120);
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const ASKED_EVERY: Duration = Duration::from_millis(5);

/// A running node; it is killed with this value.
pub(crate) struct Node {
    process: Child,
    pub(crate) address: SocketAddr,
    printed: PathBuf,
}

impl Node {
    /// Starts a node that takes commands, and returns how long it took until it was ready.
    pub(crate) fn start(
        market: &Path,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> Result<(Self, Duration)> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let printed = data.join("printed.txt");
        let file = File::create(&printed)?;
        let begun = Instant::now();
        let process = Command::new(market)
            .arg("command")
            .arg("--data")
            .arg(data)
            .args(["--listen", &address.to_string()])
            .envs(settings.iter().copied())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} cannot be started", market.display()))?;
        let mut node = Self {
            process,
            address,
            printed,
        };
        while !node.is_ready() {
            if let Some(status) = node.process.try_wait()? {
                bail!(
                    "the node ended with {status}; see {}",
                    node.printed.display()
                );
            }
            ensure!(begun.elapsed() < READY_WITHIN, "the node is not ready");
            std::thread::sleep(ASKED_EVERY);
        }
        Ok((node, begun.elapsed()))
    }

    fn is_ready(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut connection = TcpStream::connect(self.address)?;
            connection.set_read_timeout(Some(ANSWERED_WITHIN))?;
            // An open node answers only those who call it by an address of this machine.
            let host = self.address;
            write!(
                connection,
                "GET /readyz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            Ok(answer.starts_with("HTTP/1.1 200"))
        };
        ask().unwrap_or(false)
    }

    /// Returns the most that was resident at any time.
    pub(crate) fn resident_mib_max(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: f64 = kib
            .context("the system does not say what is resident")?
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// Kills it, without a word.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = self.process.id();
        let told = Command::new("kill").arg(pid.to_string()).status()?;
        ensure!(told.success(), "the node cannot be told to stop");
        let begun = Instant::now();
        while self.process.try_wait()?.is_none() {
            ensure!(begun.elapsed() < STOPPED_WITHIN, "the node does not stop");
            std::thread::sleep(ASKED_EVERY);
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.kill();
    }
}
