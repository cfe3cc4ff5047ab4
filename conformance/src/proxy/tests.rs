use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Proxy;

/// Starts a server that returns the bytes it gets, and also sends them to the test.
async fn echo() -> (String, mpsc::UnboundedReceiver<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    let _ = tell.send(byte);
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, told)
}

async fn ask(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    stream.write_all(&[byte]).await?;
    stream.read_u8().await
}

async fn silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn bytes_pass() {
    let (server, _told) = echo().await;
    let proxy = Proxy::before(&server).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    for byte in 0..=255 {
        assert_eq!(ask(&mut client, byte).await.unwrap(), byte);
    }
}

#[tokio::test]
async fn a_cut_resets_old_and_new_connections_and_ends() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::before(&server).await.unwrap();
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut old, 1).await.unwrap(), 1);
    proxy.cut();
    assert!(ask(&mut old, 2).await.is_err());
    let refused = match TcpStream::connect(proxy.address()).await {
        Ok(mut new) => ask(&mut new, 3).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    proxy.pass();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut new, 4).await.unwrap(), 4);
    assert_eq!((told.recv().await, told.recv().await), (Some(1), Some(4)), "nothing reached the server meanwhile");
}

#[tokio::test]
async fn a_stall_is_silent_and_its_connections_are_reset_afterwards() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::before(&server).await.unwrap();
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut old, 1).await.unwrap(), 1);
    proxy.stall();
    old.write_all(&[2]).await.unwrap();
    let mut young = TcpStream::connect(proxy.address()).await.unwrap();
    young.write_all(&[3]).await.unwrap();
    assert!(silent(&mut old).await && silent(&mut young).await);
    proxy.pass();
    assert!(ask(&mut old, 4).await.is_err());
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut new, 5).await.unwrap(), 5);
    assert_eq!(told.recv().await, Some(1));
    assert_eq!(told.recv().await, Some(5), "what was sent while packets vanished never arrives");
}

#[tokio::test]
async fn a_connection_that_was_not_accepted_before_an_outage_ended_is_of_the_outage() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::before(&server).await.unwrap();
    for outage in [Proxy::stall, Proxy::cut] {
        outage(&proxy);
        // On this single-threaded runtime the proxy accepts nothing until this test awaits something.
        let mut young = std::net::TcpStream::connect(proxy.address()).unwrap();
        std::io::Write::write_all(&mut young, &[1]).unwrap();
        proxy.pass();
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut new, 2).await.unwrap(), 2);
        assert!(!matches!(std::io::Read::read(&mut young, &mut [0]), Ok(1..)), "its byte was answered");
        assert_eq!(told.recv().await, Some(2), "its byte arrived");
    }
}

#[tokio::test]
async fn a_lost_reply_was_a_request_that_arrived() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::before(&server).await.unwrap();
    let mut idle = TcpStream::connect(proxy.address()).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut idle, 1).await.unwrap(), 1);
    assert_eq!(ask(&mut client, 2).await.unwrap(), 2);
    proxy.lose_reply();
    assert!(ask(&mut client, 3).await.is_err());
    assert_eq!(ask(&mut idle, 4).await.unwrap(), 4, "only one reply is lost");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(told.recv().await.unwrap());
    }
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_message_can_be_stalled_in_the_middle() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::before(&server).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.stall_at(&[7, 8]);
    assert_eq!(ask(&mut client, 7).await.unwrap(), 7);
    client.write_all(&[1, 7, 8, 2]).await.unwrap();
    proxy.stalled().await;
    for byte in [7, 1] {
        assert_eq!(told.recv().await, Some(byte));
    }
    proxy.pass();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut new, 3).await.unwrap(), 3);
    assert_eq!(told.recv().await, Some(3), "the rest of the message was dropped");
}
