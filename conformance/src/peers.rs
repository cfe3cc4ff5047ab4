//! Listeners that are not what a store expects at an address, for tests of opening it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

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

async fn pass_on(listener: TcpListener, server: String, refusals: usize) -> io::Result<Infallible> {
    for _ in 0..refusals {
        drop(listener.accept().await?);
    }
    loop {
        let (mut client, _) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move { copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await });
    }
}
