//! Asks a server in its own protocol whether it serves; that a port is open says little.

use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use super::server::Server;

/// For how long one question may take.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// Returns whether a server answers at a port as it does once it serves.
///
/// # Errors
/// When it cannot be reached, or answers otherwise.
pub(super) fn ask(server: Server, port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PROBE_MAX)?;
    stream.set_read_timeout(Some(PROBE_MAX))?;
    stream.set_write_timeout(Some(PROBE_MAX))?;
    match server {
        Server::Kafka => kafka(&mut stream),
        Server::Cassandra => cassandra(&mut stream),
        Server::Postgres => postgres(&mut stream),
    }
}

/// `ApiVersions` version 0, which every broker knows: length, key, version, correlation id, no
/// client name. The answer: length, the correlation id, an error code.
fn kafka(stream: &mut (impl Read + Write)) -> Result<()> {
    const CORRELATION: [u8; 4] = *b"fold";
    let mut question = vec![0, 0, 0, 10, 0, 18, 0, 0];
    question.extend(CORRELATION);
    question.extend([0xff, 0xff]);
    stream.write_all(&question)?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    expect(answer[4..8] == CORRELATION && answer[8..] == [0, 0])
}

/// `OPTIONS` of the native protocol, version 4: version, flags, stream, opcode, length. The answer
/// has the opcode `SUPPORTED`.
fn cassandra(stream: &mut (impl Read + Write)) -> Result<()> {
    const OPTIONS: u8 = 5;
    const SUPPORTED: u8 = 6;
    stream.write_all(&[4, 0, 0, 0, OPTIONS, 0, 0, 0, 0])?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer)?;
    expect(answer[0] == 0x84 && answer[4] == SUPPORTED)
}

/// A start-up message of protocol 3.0. The answer: `R`, length, 0 (no password asked); a server
/// that still recovers says `E`.
fn postgres(stream: &mut (impl Read + Write)) -> Result<()> {
    const NAMES: &[u8] = b"user\0postgres\0database\0postgres\0\0";
    const GOOD_BYE: &[u8] = b"X\0\0\0\x04";
    let length = u32::try_from(8 + NAMES.len()).expect("a short message");
    let mut question = length.to_be_bytes().to_vec();
    question.extend(196_608_u32.to_be_bytes());
    question.extend(NAMES);
    stream.write_all(&question)?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer)?;
    expect(answer[0] == b'R' && answer[5..] == [0; 4])?;
    // Without it the server's log would tell of a client that got lost.
    stream.write_all(GOOD_BYE)
}

fn expect(is_as_expected: bool) -> Result<()> {
    if is_as_expected {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::InvalidData,
            "an answer of another kind",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A server that says what it has to say, whatever it is asked.
    struct Says(Cursor<Vec<u8>>);

    impl Says {
        fn this(bytes: &[u8]) -> Self {
            Self(Cursor::new(bytes.to_vec()))
        }
    }

    impl Read for Says {
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Says {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broker_answers_with_our_number_and_no_error() {
        assert!(kafka(&mut Says::this(b"\0\0\0\x06fold\0\0")).is_ok());
        assert!(kafka(&mut Says::this(b"\0\0\0\x06fold\0\x23")).is_err());
        assert!(kafka(&mut Says::this(b"HTTP/1.1 400 Bad")).is_err());
        assert!(kafka(&mut Says::this(b"")).is_err());
    }

    #[test]
    fn a_node_says_what_it_supports() {
        assert!(cassandra(&mut Says::this(&[0x84, 0, 0, 0, 6, 0, 0, 0, 9])).is_ok());
        assert!(cassandra(&mut Says::this(&[0x84, 0, 0, 0, 0, 0, 0, 0, 9])).is_err());
    }

    #[test]
    fn a_server_that_recovers_does_not_serve_yet() {
        assert!(postgres(&mut Says::this(b"R\0\0\0\x08\0\0\0\0")).is_ok());
        assert!(postgres(&mut Says::this(b"E\0\0\0\x6dSFATAL\0")).is_err());
    }
}
