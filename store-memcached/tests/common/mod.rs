//! Helpers for the tests of this store.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::server::{Server, Start};
use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait};
use session_store_memcached::{MemcachedStore, MemcachedStoreBuilder};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

const TIME_OUT: Duration = Duration::from_secs(2);

/// Sends one command to a server, and returns the lines of the reply up to one that begins with a word of `last`.
async fn ask(server: &Server, address: &str, command: &str, last: &[&str]) -> std::io::Result<Vec<String>> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let login = format!("conformance {}", server.password());
    stream.write_all(format!("set login 0 0 {}\r\n{login}\r\n", login.len()).as_bytes()).await?;
    stream.read_line(&mut String::new()).await?;
    stream.write_all(command.as_bytes()).await?;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(lines);
        }
        let ends = line.contains("ERROR") || last.iter().any(|word| line.starts_with(word));
        lines.push(line.trim_end().to_owned());
        if ends {
            return Ok(lines);
        }
    }
}

/// The server under test, kept while the suite runs.
pub(crate) struct Memcached {
    /// Name in the table of all stores.
    name: &'static str,
    start: Start,
    server: OnceCell<Server>,
}

impl Memcached {
    pub(crate) const fn on(name: &'static str, start: Start) -> Self {
        Self { name, start, server: OnceCell::const_new() }
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(|| (self.start)()).await
    }
}

async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(MemcachedStore::builder(url)?.namespace(namespace).timeout(TIME_OUT).open().await?))
}

#[async_trait]
impl Harness for Memcached {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let version = ask(server, &server.addresses()[0], "version\r\n", &["VERSION"]).await.unwrap_or_default();
        let version =
            version.first().and_then(|line| line.strip_prefix("VERSION ")).unwrap_or("of unknown version").to_owned();
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(format!("Memcached {version}"));
        // The server counts in seconds, and the store adds one.
        let subject = subject.secret(server.password());
        let subject = match server.addresses() {
            [only] => subject.address(only),
            several => several.iter().fold(subject, Subject::node),
        };
        Ok(subject.time_out(TIME_OUT).expiry_delay(Duration::from_secs(5)))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn open_through_all(&self, proxies: &[(String, SocketAddr)], namespace: &str) -> Result<Arc<dyn Store>> {
        let builder = MemcachedStore::builder(self.server().await?.url())?.namespace(namespace).timeout(TIME_OUT);
        let through = |builder: MemcachedStoreBuilder, (name, proxy): &(String, SocketAddr)| {
            builder.server_at(name, &proxy.to_string())
        };
        Ok(Arc::new(proxies.iter().try_fold(builder, through)?.open().await?))
    }

    async fn clean(&self, namespace: &str) {
        let Ok(server) = self.server().await else { return };
        for address in server.addresses() {
            let listed = ask(server, address, "lru_crawler metadump all\r\n", &["END", "BUSY", "ERROR"]).await;
            for line in listed.unwrap_or_default() {
                // The line begins with `key=` and the name, percent-encoded.
                let Some(name) = line.strip_prefix("key=").and_then(|rest| rest.split(' ').next()) else { continue };
                let name = name.replace("%3A", ":");
                if name.starts_with(&format!("{namespace}:")) {
                    let _ = ask(server, address, &format!("md {name}\r\n"), &["HD", "NF"]).await;
                }
            }
        }
    }
}
