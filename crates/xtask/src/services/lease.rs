//! Servers for as long as tests run.

use std::process::Command;

use anyhow::Result;

use super::{
    interrupt::Interrupt,
    lock::Lock,
    note,
    ports::Ports,
    record::Places,
    server::Server,
    stop,
    up::{Wish, up},
};

/// Servers that are up while this lives.
///
/// What was up before stays up. What was started for tests is taken down by the last lease in
/// this checkout that ends: of two test runs at once, neither takes the other's away, and what a
/// killed run left behind goes with the next one.
pub(crate) struct Lease {
    places: Places,
    /// Shared by every lease; `None` once given up.
    share: Option<Lock>,
    variables: Vec<(&'static str, String)>,
}

impl Lease {
    /// Brings servers up, on other ports than the usual ones if those are taken.
    ///
    /// # Errors
    /// When one cannot be started, or this program is told to end meanwhile.
    pub(crate) fn take(servers: &[Server], interrupt: &Interrupt) -> Result<Self> {
        Self::of(servers, false, interrupt)
    }

    /// The same at full speed, which takes longer until it is reached.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub(crate) fn to_measure(servers: &[Server], interrupt: &Interrupt) -> Result<Self> {
        Self::of(servers, true, interrupt)
    }

    fn of(servers: &[Server], jit: bool, interrupt: &Interrupt) -> Result<Self> {
        let places = Places::here();
        let share = Lock::share(&places.services()?.join("tests"), "the end of the tests")?;
        let mut lease = Self {
            places,
            share: Some(share),
            variables: Vec::new(),
        };
        let wish = Wish {
            engine: None,
            ports: Ports::configured()?,
            elsewhere: true,
            jit,
            for_tests: true,
            interrupt: interrupt.clone(),
        };
        // If it fails, the lease is dropped, and takes down what has been started.
        let records = up(&lease.places, servers, &wish)?;
        let values = servers.iter().zip(records);
        lease.variables = values
            .map(|(server, record)| (server.variable(), server.value(record.ports)))
            .collect();
        interrupt.check()?;
        Ok(lease)
    }

    /// Returns where a server of this lease is.
    pub(crate) fn address(&self, server: Server) -> &str {
        let mut known = self.variables.iter();
        let found = known.find(|(name, _)| *name == server.variable());
        found.map_or("", |(_, value)| value)
    }

    /// Tells a program where the servers are.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(_alone) = self.share.take().and_then(Lock::alone) else {
            note("other tests still run: the servers stay up for them");
            return;
        };
        if let Err(error) = stop::down_for_tests(&self.places) {
            note(&format!(
                "{error:#}; to take them down: cargo xtask services down"
            ));
        }
    }
}
