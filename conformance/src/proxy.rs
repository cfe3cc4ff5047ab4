//! A TCP proxy on loopback that breaks in the ways in which networks break.

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

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Cut,
    Stall,
    LoseReply,
}

/// The state of the network. A connection that meets a new `epoch` is from before it, and is reset.
#[derive(Clone, Copy, Debug)]
struct Network {
    mode: Mode,
    epoch: u64,
}

/// A proxy before one server, or before each node of one: it passes bytes on until it is told otherwise.
///
/// Connections live within the runtime that [`before`](Proxy::before) is called on, and end with the proxy.
///
/// ```
/// # async fn example() -> std::io::Result<()> {
/// use conformance::proxy::Proxy;
///
/// let proxy = Proxy::before("127.0.0.1:5432").await?;
/// println!("connect to {}", proxy.address());
/// proxy.cut();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    addresses: Vec<SocketAddr>,
    network: Arc<watch::Sender<Network>>,
    listening: Vec<JoinHandle<()>>,
    /// The listeners' sockets once more, to empty their backlogs when an outage ends.
    backlogs: Vec<std::net::TcpListener>,
}

impl Proxy {
    /// Listens on a free port of loopback for connections to `server`, which is `host:port`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn before(server: &str) -> io::Result<Self> {
        Self::before_all([server]).await
    }

    /// The same for several servers, or nodes of one, each with an address of its own. What breaks breaks for all of them.
    ///
    /// # Errors
    /// If it cannot listen, or there is no server.
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

    /// Where it listens: before the first server, if there are several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens before each of the servers, in their order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Passes bytes on, in both directions. Connections that were [stalled](Self::stall) are reset,
    /// as by a router that has forgotten them.
    pub fn pass(&self) {
        self.network.send_modify(|network| {
            if matches!(network.mode, Mode::Cut | Mode::Stall) {
                self.refuse_backlogs();
            }
            network.epoch += u64::from(network.mode == Mode::Stall);
            network.mode = Mode::Pass;
        });
    }

    /// Drops the connections that the kernel has made and nobody has accepted yet.
    /// Their bytes were sent into the outage: accepted after it, they would arrive all the same.
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

    /// Lets every packet vanish: connections stay and are silent, new ones too.
    pub fn stall(&self) {
        self.network.send_modify(|network| network.mode = Mode::Stall);
    }

    /// Resets every connection there is, whatever happens to new ones.
    pub fn forget(&self) {
        self.network.send_modify(|network| network.epoch += 1);
    }

    /// The next request reaches the server, its reply does not reach the client: the connection is reset instead.
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
    // The network stands still while a connection is accepted: its epoch is the connection's.
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
    // Dropped with bytes unread or not, the client sees a reset and not an orderly end.
    let _ = client.set_zero_linger();
    let _ = client.set_nodelay(true);
    if flowing(&mut watching, epoch).await.is_none() {
        return;
    }
    let Ok(upstream) = TcpStream::connect(&server).await else { return };
    let _ = upstream.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = upstream.into_split();
    // A request that is under way while replies get lost: its reply is the one.
    let asked = Arc::new(watch::Sender::new(false));
    let requests = pump(from_client, to_server, network.subscribe(), epoch, Direction::Requests(Arc::clone(&asked)));
    let replies =
        pump(from_server, to_client, network.subscribe(), epoch, Direction::Replies(asked, Arc::clone(&network)));
    // Either direction's end is the connection's: nobody here half-closes.
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}

enum Direction {
    Requests(Arc<watch::Sender<bool>>),
    Replies(Arc<watch::Sender<bool>>, Arc<watch::Sender<Network>>),
}

/// Waits until bytes may flow: the mode then, or `None` when the connection is to be reset.
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
        let Ok(length @ 1..) = read else { return };
        // The network may have changed while the bytes were under way: they fare as its state is now.
        let Some(mode) = flowing(&mut watching, epoch).await else { return };
        match &direction {
            Direction::Requests(asked) => {
                asked.send_replace(mode == Mode::LoseReply);
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
#[path = "proxy/tests.rs"]
mod tests;
