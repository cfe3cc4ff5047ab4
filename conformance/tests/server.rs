//! Tests of servers in containers: they answer, restart and are removed. They use Redis, which starts fastest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::server::{self, Server, Shared};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends commands over one connection, and returns the reply of `AUTH` and `answer` bytes more.
async fn say(server: &Server, commands: &[&str], answer: usize) -> String {
    talk(server.address(), server.password(), commands, answer).await
}

async fn talk(address: &str, password: &str, commands: &[&str], answer: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let signed_in = format!("AUTH {password}\r\n{}\r\n", commands.join("\r\n"));
    stream.write_all(signed_in.as_bytes()).await.unwrap();
    let mut said = vec![0; "+OK\r\n".len() + answer];
    let reading = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut said)).await;
    reading.expect("an answer of this length").unwrap();
    String::from_utf8(said).unwrap()
}

/// Returns whether the Redis server is external, so that the tests must not stop it.
fn is_external() -> bool {
    std::env::var_os("CONFORMANCE_REDIS_URL").is_some()
}

#[tokio::test]
async fn a_server_answers_at_its_url_and_is_gone_with_its_value() {
    let server = server::redis().await.unwrap();
    assert_eq!(say(&server, &["PING"], 7).await, "+OK\r\n+PONG\r\n");
    assert!(server.url().contains(server.address()) && server.url().contains(server.password()));
    assert!(!format!("{server:?}").contains(server.password()));
    let proxy: SocketAddr = "127.0.0.1:1".parse().unwrap();
    assert_eq!(server.url_through(proxy), server.url().replace(server.address(), "127.0.0.1:1"));
    if is_external() {
        return;
    }
    let address = server.address().to_owned();
    drop(server);
    assert!(TcpStream::connect(&address).await.is_err(), "nothing listens at {address} any more");
}

#[tokio::test]
async fn the_direct_url_leads_to_the_same_server() {
    let server = server::redis().await.unwrap();
    let direct = server.direct_url();
    let address = direct.rsplit('@').next().unwrap().split('/').next().unwrap();
    if is_external() {
        assert_eq!(direct, server.url());
        return;
    }
    assert_eq!(direct, server.url().replace(server.address(), address));
    say(&server, &["SET k v"], 5).await;
    let by_itself = talk(address, server.password(), &["GET k"], 7).await;
    assert_eq!(by_itself, "+OK\r\n$1\r\nv\r\n");
}

#[tokio::test]
async fn a_stopped_server_comes_back_at_its_address_with_its_data() {
    if is_external() {
        return;
    }
    let server = server::redis().await.unwrap();
    say(&server, &["SET k v", "SAVE"], 10).await;
    server.stop().await.unwrap();
    assert!(TcpStream::connect(server.address()).await.is_err(), "a stopped server accepts no connection");
    server.start().await.unwrap();
    assert_eq!(say(&server, &["GET k"], 7).await, "+OK\r\n$1\r\nv\r\n");
}

#[tokio::test]
async fn a_cluster_serves_all_slots_at_three_addresses_and_comes_back_with_them() {
    if is_external() || std::env::var_os("CONFORMANCE_REDIS_CLUSTER_URL").is_some() {
        return;
    }
    let server = server::redis_cluster().await.unwrap();
    let addresses = server.addresses().to_vec();
    assert_eq!(addresses.len(), 3);
    assert_eq!(server.url(), format!("redis+cluster://:{}@{}/?tls=false", server.password(), addresses.join(",")));
    // The last node serves slot 12182, to which `foo` belongs. The first node answers with the last one's announced
    // address.
    let port = addresses[2].rsplit(':').next().unwrap();
    let moved = format!("-MOVED 12182 127.0.0.1:{port}\r\n");
    assert_eq!(say(&server, &["GET foo"], moved.len()).await, format!("+OK\r\n{moved}"));
    server.stop().await.unwrap();
    server.start().await.unwrap();
    assert_eq!(say(&server, &["GET foo"], moved.len()).await, format!("+OK\r\n{moved}"));
}

#[test]
fn a_server_is_gone_after_a_panic_and_without_a_runtime() {
    if is_external() {
        return;
    }
    let address = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let server = runtime.block_on(server::redis()).unwrap();
        drop(runtime);
        std::panic::resume_unwind(Box::new(server.address().to_owned()));
    });
    let address = *address.join().unwrap_err().downcast::<String>().unwrap();
    assert!(std::net::TcpStream::connect(&address).is_err(), "nothing listens at {address} any more");
}

#[tokio::test]
async fn a_shared_server_is_one_for_all_who_have_it_and_goes_with_the_last() {
    static SERVER: Shared = Shared::new(|| Box::pin(server::redis()));
    let first = SERVER.get().unwrap();
    let second = std::thread::spawn(|| SERVER.get().unwrap()).join().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    if is_external() {
        return;
    }
    let address = first.address().to_owned();
    drop(first);
    assert_eq!(say(&second, &["PING"], 7).await, "+OK\r\n+PONG\r\n");
    drop(second);
    assert!(TcpStream::connect(&address).await.is_err(), "nothing listens at {address} any more");
    let another = SERVER.get().unwrap();
    assert_eq!(say(&another, &["PING"], 7).await, "+OK\r\n+PONG\r\n");
}
