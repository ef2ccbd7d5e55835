//! Where servers listen: fixed ports that no server has by default.

use std::{
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    thread::sleep,
    time::Instant,
};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    process::{LOOK_EVERY, PUT_AWAY_MAX},
    server::Server,
};

/// The variable that names other ports, as `--ports` does.
pub(super) const VARIABLE: &str = "FOLDLINE_SERVICES_PORTS";

/// The first of the ports: each lies above it by the end of the well-known one (9092: +92).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ports(u16);

/// One port of a server, and how far it lies above the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Postgres = 32,
    Cassandra = 42,
    CassandraNodes = 70,
    Kafka = 92,
    KafkaController = 93,
}

impl Ports {
    /// The first port unless another is asked for: below those that systems give to clients.
    pub(super) const DEFAULT: u16 = 21_000;

    /// How far apart two sets of ports are, and how many sets are tried.
    const STEP: u16 = 1_000;
    const TRIES: u16 = 8;

    /// Returns the ports that start at `first`.
    pub(super) fn from(first: u16) -> Self {
        Self(first)
    }

    /// Returns the ports that the environment names, or the default ones.
    ///
    /// # Errors
    /// When it names something else.
    pub(super) fn configured() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Err(_) => Ok(Self::default()),
            Ok(first) => match first.parse() {
                Ok(first @ 1_024..=65_000) => Ok(Self(first)),
                _ => bail!("{VARIABLE} must be a port from 1024 to 65000, not {first:?}"),
            },
        }
    }

    /// Returns the number of a port.
    pub(super) fn of(self, port: Port) -> u16 {
        self.0 + port as u16
    }

    /// Checks that nothing listens on the ports of these servers.
    ///
    /// # Errors
    /// When something does; says what.
    pub(super) fn check(self, servers: &[Server]) -> Result<()> {
        for server in servers {
            for port in server.ports().iter().map(|port| self.of(*port)) {
                if let Some(holder) = holder_after_a_while(port) {
                    bail!(
                        "{server} cannot have port {port}: {holder} listens there. \
                         Other ports: --ports {}, or the variable {VARIABLE}",
                        self.0.saturating_add(Self::STEP),
                    );
                }
            }
        }
        Ok(())
    }

    /// Returns these ports, or the next ones that are free.
    ///
    /// # Errors
    /// As [`Self::check`], when none of a bounded number of sets is free.
    pub(super) fn free(self, servers: &[Server]) -> Result<Self> {
        let next = (0..Self::TRIES).filter_map(|n| self.0.checked_add(n * Self::STEP));
        next.map(Self)
            .find(|ports| ports.check(servers).is_ok())
            .map_or_else(|| self.check(servers).map(|()| self), Ok)
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Who has a port; `None` if it is free, now or in a moment: a process that was killed keeps its
/// ports until the kernel has put it away.
fn holder_after_a_while(port: u16) -> Option<String> {
    let began = Instant::now();
    while !is_free(port) {
        if let Some(holder) = holder(port) {
            return Some(holder);
        }
        if began.elapsed() > PUT_AWAY_MAX {
            return Some("another program".to_owned());
        }
        sleep(LOOK_EVERY);
    }
    None
}

/// The process that listens on a port, as far as Linux tells.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let inode = tables.flat_map(|table| listener(&table, port)).next()?;
    let socket = format!("socket:[{inode}]");
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let process = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(is_number))
        .find(|process| has_open(process, &socket))?;
    let words = fs::read(process.join("cmdline")).ok()?;
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    let command: String = words.trim().chars().take(80).collect();
    let pid = process.file_name()?.to_string_lossy().into_owned();
    Some(format!("process {pid} (`{command}`)"))
}

/// The inode of the socket that listens on a port, from a table as in `/proc/net/tcp`.
fn listener(table: &str, port: u16) -> Option<String> {
    /// TCP_LISTEN in the kernel's `tcp_states.h`.
    const LISTENS: &str = "0A";
    let end = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let listens = words.get(1)?.ends_with(&end) && *words.get(3)? == LISTENS;
        listens.then(|| words.get(9).map(ToString::to_string))?
    })
}

fn is_number(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

fn has_open(process: &Path, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let mut links = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    links.any(|link| link.as_os_str() == socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of ports whose Kafka port is taken for as long as the listener lives.
    fn taken() -> (TcpListener, Ports) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, Ports(port - Port::Kafka as u16))
    }

    #[test]
    fn ports_end_as_the_well_known_ones_do() {
        let ports = Ports::default();
        assert_eq!(ports.of(Port::Kafka), 21_092);
        assert_eq!(ports.of(Port::Cassandra), 21_042);
        assert_eq!(ports.of(Port::Postgres), 21_032);
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_its_holder() {
        let (_listener, ports) = taken();
        let error = ports.check(&[Server::Kafka]).unwrap_err().to_string();
        assert!(
            error.contains(&ports.of(Port::Kafka).to_string()),
            "{error}"
        );
        if Path::new("/proc/net/tcp").exists() {
            let own = format!("process {} (", std::process::id());
            assert!(error.contains(&own), "{error}");
        }
    }

    #[test]
    fn a_listener_is_found_by_port_and_state() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:5264 0100007F:0001 01 0:0 00:0 0 0 0 11 1 0\n\
             1: 0100007F:5264 00000000:0000 0A 0:0 00:0 0 0 0 12 1 0\n";
        assert_eq!(listener(table, 0x5264).as_deref(), Some("12"));
        assert_eq!(listener(table, 0x5265), None);
    }
}
