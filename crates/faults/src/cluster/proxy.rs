//! The way between one node and the broker, which can be cut.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinHandle,
};

/// How much is taken along at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What the way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Everything passes.
    Open,
    /// Nothing passes, and nobody is told; what was on its way arrives once it is open again.
    Silent,
    /// Connections end, and no new one begins.
    Closed,
}

/// A way of its own.
#[derive(Debug)]
pub(super) struct Proxy {
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// # Errors
    /// When the port is taken.
    pub(super) async fn start(port: u16, broker: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let (way, seen) = watch::channel(Way::Open);
        let task = tokio::spawn(async move {
            // A connection that fails is the caller's to begin anew.
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(pass(caller, broker, seen.clone()));
            }
        });
        Ok(Self { way, task })
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(caller: TcpStream, broker: SocketAddr, mut way: watch::Receiver<Way>) {
    if way.wait_for(|way| *way != Way::Silent).await.is_err() || *way.borrow() == Way::Closed {
        return;
    }
    let Ok(called) = TcpStream::connect(broker).await else {
        return;
    };
    let _ = (caller.set_nodelay(true), called.set_nodelay(true));
    let ((from_caller, to_caller), (from_called, to_called)) =
        (caller.into_split(), called.into_split());
    let (there, back) = (way.clone(), way.clone());
    tokio::select! {
        _ = pump(from_caller, to_called, there) => {}
        _ = pump(from_called, to_caller, back) => {}
        _ = way.wait_for(|way| *way == Way::Closed) => {}
    }
}

async fn pump(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 || way.wait_for(|way| *way != Way::Silent).await.is_err() {
            return Ok(());
        }
        to.write_all(&chunk[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn what_is_sent_while_it_is_silent_arrives_later_and_a_closed_way_ends_connections() {
        let port = free_port().await;
        let proxy = Proxy::start(port, echo().await).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut byte = [0];
        stream.write_all(b"a").await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        proxy.set(Way::Silent);
        stream.write_all(b"b").await.unwrap();
        assert!(stream.try_read(&mut byte).is_err(), "nothing came yet");
        proxy.set(Way::Open);
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
        proxy.set(Way::Closed);
        assert_eq!(stream.read(&mut byte).await.unwrap_or(0), 0);
    }
}
