//! Listeners that are not what a store expects at an address, for tests of opening it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

async fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Starts a listener that takes connections and never answers. Returns its address.
///
/// It stops with the runtime.
///
/// # Errors
/// If it cannot listen.
pub async fn silent() -> io::Result<SocketAddr> {
    let (listener, address) = listener().await?;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    Ok(address)
}

/// Starts an HTTP server that answers 404 to whatever it is sent, and closes the connection. Returns its address.
///
/// It stops with the runtime.
///
/// # Errors
/// If it cannot listen.
pub async fn http() -> io::Result<SocketAddr> {
    let (listener, address) = listener().await?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                if connection.read(&mut request).await.is_ok_and(|length| length > 0) {
                    connection.write_all(answer).await?;
                }
                connection.shutdown().await
            });
        }
    });
    Ok(address)
}

/// Starts a listener that closes its first `refusals` connections and passes the others on to `server`, like a server that is not
/// ready at first. Returns its address.
///
/// It stops with the runtime.
///
/// # Errors
/// If it cannot listen.
pub async fn late(server: &str, refusals: usize) -> io::Result<SocketAddr> {
    let (listener, address) = listener().await?;
    tokio::spawn(pass_on(listener, server.to_owned(), refusals));
    Ok(address)
}

/// Starts a listener on the IPv6 address of this machine that passes connections on to `server`. Returns its address.
///
/// It stops with the runtime.
///
/// # Errors
/// If it cannot listen, such as on a machine without IPv6.
pub async fn on_ipv6(server: &str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(pass_on(listener, server.to_owned(), 0));
    Ok(address)
}

/// An address that leads to another server after [`lead_to`](Self::lead_to), such as a name whose record changes. Connections that
/// exist stay where they are.
#[derive(Debug)]
pub struct Alias {
    address: SocketAddr,
    server: watch::Sender<String>,
}

impl Alias {
    /// Starts a listener that passes connections on to `server`. It stops with the runtime.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn of(server: &str) -> io::Result<Self> {
        let (listener, address) = listener().await?;
        let server = watch::Sender::new(server.to_owned());
        let current = server.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                join(client, current.borrow().clone());
            }
        });
        Ok(Self { address, server })
    }

    /// Returns the address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to another server.
    pub fn lead_to(&self, server: &str) {
        self.server.send_replace(server.to_owned());
    }
}

async fn pass_on(listener: TcpListener, server: String, refusals: usize) -> io::Result<Infallible> {
    for _ in 0..refusals {
        drop(listener.accept().await?);
    }
    loop {
        let (client, _) = listener.accept().await?;
        join(client, server.clone());
    }
}

/// Passes on what a client and `server` send each other, in a task of its own.
fn join(mut client: TcpStream, server: String) {
    tokio::spawn(async move { copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await });
}
