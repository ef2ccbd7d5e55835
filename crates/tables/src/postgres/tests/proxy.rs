//! A way to the server that can be cut, anywhere in what goes over it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// A proxy on loopback; it ends with its handle.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    /// Counts the cuts; a connection ends with the next one.
    cuts: watch::Sender<u64>,
    /// How many bytes go through, both ways, before the next cut; none planned where negative.
    left: AtomicI64,
    connections: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn to(target: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            cuts: watch::channel(0).0,
            left: AtomicI64::new(-1),
            connections: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (state, target) = (shared.clone(), target.clone());
                tokio::spawn(async move { state.connect(near, target).await });
            }
        });
        Self {
            port,
            state,
            accepting,
        }
    }

    /// Cuts every connection now.
    pub(crate) fn cut(&self) {
        self.state.cut();
    }

    /// Cuts every connection once so many bytes have gone through.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl State {
    fn cut(&self) {
        self.left.store(-1, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    async fn connect(self: Arc<Self>, near: TcpStream, target: (String, u16)) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let mut cuts = self.cuts.subscribe();
        let Ok(far) = TcpStream::connect(target).await else {
            return;
        };
        let (near, far) = (near.into_split(), far.into_split());
        tokio::select! {
            () = self.pass(near.0, far.1) => {}
            () = self.pass(far.0, near.1) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let mut some = read;
            let left = self.left.load(Ordering::SeqCst);
            if left >= 0 {
                let bytes = i64::try_from(read).unwrap();
                some = usize::try_from(left.min(bytes)).unwrap();
                self.left.store(left - bytes, Ordering::SeqCst);
            }
            if to.write_all(&buffer[..some]).await.is_err() {
                return;
            }
            if some < read {
                return self.cut();
            }
        }
    }
}
