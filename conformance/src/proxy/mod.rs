//! A TCP proxy on loopback that simulates failures of the network.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Context;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Treatment of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Cut,
    Stall,
    /// Stall as soon as a client sends these bytes.
    StallAt(&'static [u8]),
    LoseReply,
}

/// State of the network. A connection from before the current `epoch` is reset.
#[derive(Clone, Copy, Debug)]
struct Network {
    mode: Mode,
    epoch: u64,
}

/// A TCP proxy in front of one server, or of each node of a cluster. It passes bytes on until it is told to fail.
///
/// Its connections run on the runtime on which [`before`](Proxy::before) was called, and end with the proxy.
///
/// ```
/// # async fn example() -> std::io::Result<()> {
/// use session_conformance::proxy::Proxy;
///
/// let proxy = Proxy::before("127.0.0.1:5432").await?;
/// println!("connect to {}", proxy.address());
/// proxy.cut(); // every connection is reset
/// proxy.pass(); // new connections work again
/// proxy.stall(); // packets are dropped, as by a firewall
/// proxy.pass();
/// proxy.lose_reply(); // the next request arrives, its reply does not
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    addresses: Vec<SocketAddr>,
    network: Arc<watch::Sender<Network>>,
    listening: Vec<JoinHandle<()>>,
    /// Second handles of the listening sockets, to empty their backlogs when an outage ends.
    backlogs: Vec<std::net::TcpListener>,
}

impl Proxy {
    /// Starts a proxy on a free port of loopback in front of `server`, which is `host:port`.
    ///
    /// # Errors
    /// If the proxy cannot listen.
    pub async fn before(server: &str) -> io::Result<Self> {
        Self::before_all([server]).await
    }

    /// Starts a proxy in front of several servers or nodes, each on its own port. A failure affects all of them.
    ///
    /// # Errors
    /// If the proxy cannot listen, or `servers` is empty.
    pub async fn before_all(servers: impl IntoIterator<Item = impl Into<String>>) -> io::Result<Self> {
        let network = Arc::new(watch::Sender::new(Network { mode: Mode::Pass, epoch: 0 }));
        let mut proxy = Self { addresses: Vec::new(), network, listening: Vec::new(), backlogs: Vec::new() };
        for server in servers {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            proxy.addresses.push(listener.local_addr()?);
            proxy.backlogs.push(listener.try_clone()?);
            let listener = TcpListener::from_std(listener)?;
            proxy.listening.push(tokio::spawn(listen(listener, server.into(), Arc::clone(&proxy.network))));
        }
        if proxy.addresses.is_empty() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(proxy) }
    }

    /// Returns the proxy's address, in front of the first server if there are several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Returns the proxy's addresses, in the order of the servers.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Passes bytes on in both directions. Resets connections that were [stalled](Self::stall), like a router that has
    /// lost its state.
    pub fn pass(&self) {
        self.network.send_modify(|network| {
            if matches!(network.mode, Mode::Cut | Mode::Stall) {
                self.refuse_backlogs();
            }
            network.epoch += u64::from(network.mode == Mode::Stall);
            network.mode = Mode::Pass;
        });
    }

    /// Drops connections that the kernel has made and the proxy has not accepted yet.
    /// Their bytes were sent during the outage. Accepting such a connection later would still deliver them.
    fn refuse_backlogs(&self) {
        for backlog in &self.backlogs {
            while backlog.accept().is_ok() {}
        }
    }

    /// Resets every connection, and each new one as soon as it is made.
    pub fn cut(&self) {
        self.network.send_modify(|network| {
            network.epoch += 1;
            network.mode = Mode::Cut;
        });
    }

    /// Drops every packet: connections stay open and silent, also new ones.
    pub fn stall(&self) {
        self.network.send_modify(|network| network.mode = Mode::Stall);
    }

    /// [Stalls](Self::stall) as soon as a client sends `bytes`. What it sent before passes; `bytes` and all that follows are dropped.
    ///
    /// Only bytes that arrive together are recognized. Protocols send short messages in one piece.
    pub fn stall_at(&self, bytes: &'static [u8]) {
        self.network.send_modify(|network| network.mode = Mode::StallAt(bytes));
    }

    /// Waits until every packet is dropped.
    pub async fn stalled(&self) {
        // The sender lives as long as `self`, so the wait ends only with the mode.
        let _ = self.network.subscribe().wait_for(|network| network.mode == Mode::Stall).await;
    }

    /// Resets every existing connection. New connections are treated as before.
    pub fn forget(&self) {
        self.network.send_modify(|network| network.epoch += 1);
    }

    /// Passes the next request to the server, but resets the connection instead of returning the reply.
    /// Everything after that passes.
    pub fn lose_reply(&self) {
        self.network.send_modify(|network| network.mode = Mode::LoseReply);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        for listening in &self.listening {
            listening.abort();
        }
    }
}

async fn listen(listener: TcpListener, server: String, network: Arc<watch::Sender<Network>>) {
    // The guard keeps the network's state unchanged during the accept, so its epoch is the connection's.
    let accept = |waking: &mut Context<'_>| {
        let now = network.borrow();
        listener.poll_accept(waking).map_ok(|(client, _)| (client, now.epoch))
    };
    while let Ok((client, epoch)) = poll_fn(accept).await {
        tokio::spawn(serve(client, epoch, server.clone(), Arc::clone(&network)));
    }
}

async fn serve(client: TcpStream, epoch: u64, server: String, network: Arc<watch::Sender<Network>>) {
    let mut watching = network.subscribe();
    // With a linger of zero the client sees a reset and no orderly end, even if no bytes are unread.
    let _ = client.set_zero_linger();
    let _ = client.set_nodelay(true);
    if flowing(&mut watching, epoch).await.is_none() {
        return;
    }
    let Ok(upstream) = TcpStream::connect(&server).await else { return };
    let _ = upstream.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = upstream.into_split();
    // Set while a request is in flight whose reply is to be lost.
    let asked = Arc::new(watch::Sender::new(false));
    let requests = pump(
        from_client,
        to_server,
        network.subscribe(),
        epoch,
        Direction::Requests(Arc::clone(&asked), Arc::clone(&network)),
    );
    let replies =
        pump(from_server, to_client, network.subscribe(), epoch, Direction::Replies(asked, Arc::clone(&network)));
    // The end of one direction ends the connection, because neither side half-closes.
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}

enum Direction {
    Requests(Arc<watch::Sender<bool>>, Arc<watch::Sender<Network>>),
    Replies(Arc<watch::Sender<bool>>, Arc<watch::Sender<Network>>),
}

/// Waits until bytes may flow. Returns the mode at that time, or `None` if the connection is to be reset.
async fn flowing(watching: &mut watch::Receiver<Network>, epoch: u64) -> Option<Mode> {
    let network = *watching.wait_for(|now| now.mode != Mode::Stall || now.epoch != epoch).await.ok()?;
    (network.epoch == epoch && network.mode != Mode::Cut).then_some(network.mode)
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut watching: watch::Receiver<Network>,
    epoch: u64,
    direction: Direction,
) {
    let mut buffer = vec![0; 16 * 1024];
    while flowing(&mut watching, epoch).await.is_some() {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = watching.changed() => continue,
        };
        let Ok(mut length @ 1..) = read else { return };
        // The network may have changed while the read waited. Its current state decides about the bytes.
        let Some(mode) = flowing(&mut watching, epoch).await else { return };
        match &direction {
            Direction::Requests(asked, network) => {
                asked.send_replace(mode == Mode::LoseReply);
                if let Mode::StallAt(bytes) = mode
                    && let Some(at) = buffer[..length].windows(bytes.len()).position(|window| window == bytes)
                {
                    network.send_modify(|network| network.mode = Mode::Stall);
                    length = at;
                }
            }
            Direction::Replies(asked, network) if mode == Mode::LoseReply && *asked.borrow() => {
                network.send_modify(|network| network.mode = Mode::Pass);
                return;
            }
            Direction::Replies(..) => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
