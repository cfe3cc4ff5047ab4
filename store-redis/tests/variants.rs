//! Conformance suite over the store in other surroundings: found by Sentinel, by a socket file, and with the least rights.
//! `cargo test -p session-store-redis --test variants -- --list` names the clauses that a normal run checks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use session_conformance::server::{self, Server, Start};
use session_conformance::variant::{LEAST_COMMANDS, NAMED_SERVER, SOCKET_FILE};
use session_conformance::{Harness, Subject, run_variants};
use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use session_store_redis::redis::{self, Client, RedisError, aio::MultiplexedConnection};
use session_store_redis::{RedisStore, RedisStoreBuilder};
use tokio::sync::OnceCell;

#[path = "common/rights.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rights;
#[path = "common/socket.rs"]
mod socket;

use socket::Socket;

/// Time-out of a call. Behind Sentinel six servers share the machine.
const TIME_OUT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sentinel,
    Socket,
    LeastRights,
}

/// Test subject that reaches its server in one of the ways.
struct Reached {
    name: &'static str,
    way: Way,
    start: Start,
    server: OnceCell<Server>,
    /// Socket files, by the address that each leads to.
    sockets: Mutex<HashMap<String, Socket>>,
}

impl Reached {
    fn at(name: &'static str, way: Way, start: Start) -> Arc<dyn Harness> {
        Arc::new(Self { name, way, start, server: OnceCell::const_new(), sockets: Mutex::default() })
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(|| (self.start)()).await
    }

    /// Returns the address of the server, which is one that Sentinel names if it is found by that.
    async fn addresses(&self) -> Result<Vec<String>> {
        let server = self.server().await?;
        if self.way != Way::Sentinel {
            return Ok(vec![server.address().to_owned()]);
        }
        let mut sentinel = raw(server.address(), server.password()).await?;
        let mut ask = redis::cmd("SENTINEL");
        let master: (String, u16) =
            ask.arg("GET-MASTER-ADDR-BY-NAME").arg("main").query_async(&mut sentinel).await.map_err(other)?;
        Ok(vec![format!("{}:{}", master.0, master.1)])
    }

    /// Returns a direct connection to the server.
    async fn raw(&self) -> Result<MultiplexedConnection> {
        raw(&self.addresses().await?[0], self.server().await?.password()).await
    }

    /// Returns the path of a socket file that leads to an address.
    fn socket(&self, address: String) -> Result<String> {
        let failed = |error| Error::fixed(ErrorKind::Other, "a socket file for the test").with_source(&error);
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = match sockets.entry(address) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let socket = Socket::before(entry.key()).map_err(failed)?;
                entry.insert(socket)
            }
        };
        Ok(socket.path().to_owned())
    }

    /// Opens the store. `through` is a proxy before the server.
    async fn opened(&self, namespace: &str, through: Option<SocketAddr>) -> Result<Arc<dyn Store>> {
        let server = self.server().await?;
        let address = match through {
            Some(proxy) => proxy.to_string(),
            None => server.address().to_owned(),
        };
        let builder: RedisStoreBuilder = match self.way {
            Way::Sentinel => {
                let builder = RedisStore::builder(server.url())?;
                let master = self.addresses().await?.swap_remove(0);
                through.iter().fold(builder, |builder, proxy| builder.node_at(&master, &proxy.to_string()))
            }
            Way::Socket => {
                let socket = self.socket(address)?;
                RedisStore::builder(&format!("redis+unix://{socket}?pass={}", server.password()))?
            }
            Way::LeastRights => {
                // The store refuses any other namespace before it connects.
                if namespace.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    let statement = rights::statement(false, server.password(), namespace);
                    let mut words = statement.split(' ');
                    let mut grant = redis::cmd(words.next().unwrap_or_default());
                    grant.arg(words.collect::<Vec<_>>()).exec_async(&mut self.raw().await?).await.map_err(other)?;
                }
                let url = format!("redis://{}:{}@{address}/?tls=false", rights::USER, server.password());
                RedisStore::builder(&url)?
            }
        };
        Ok(Arc::new(builder.namespace(namespace).timeout(TIME_OUT).open().await?))
    }
}

async fn raw(address: &str, password: &str) -> Result<MultiplexedConnection> {
    let client = Client::open(format!("redis://:{password}@{address}")).map_err(other)?;
    client.get_multiplexed_async_connection().await.map_err(other)
}

fn other(error: RedisError) -> Error {
    Error::fixed(ErrorKind::Unavailable, "the server under test").with_source(&error)
}

#[async_trait]
impl Harness for Reached {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.raw().await?).await.map_err(other)?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let version = match (field("valkey_version:"), field("redis_version:")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, version) => format!("Redis {}", version.unwrap_or("of unknown version")),
        };
        let named = match self.way {
            Way::Sentinel => format!("{version}, 3 sentinels, 2 replicas"),
            Way::Socket => format!("{version}, Unix socket"),
            Way::LeastRights => format!("{version}, least rights"),
        };
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(named).time_out(TIME_OUT);
        Ok(subject.address(self.addresses().await?.swap_remove(0)).secret(server.password()))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.opened(namespace, None).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.opened(namespace, Some(proxy)).await
    }

    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let mut plant = redis::cmd("ZADD");
        plant.arg(format!("{namespace}:p:{}", principal.as_str())).arg(253_402_300_799_999_i64);
        plant.arg(&key.as_bytes()[..]).exec_async(&mut self.raw().await?).await.map_err(other)?;
        Ok(true)
    }
}

fn main() -> ExitCode {
    run_variants(vec![
        (
            "sentinel",
            &NAMED_SERVER,
            Reached::at("redis-sentinel", Way::Sentinel, || Box::pin(server::redis_sentinel())),
        ),
        (
            "valkey-sentinel",
            &NAMED_SERVER,
            Reached::at("valkey-sentinel", Way::Sentinel, || Box::pin(server::valkey_sentinel())),
        ),
        ("socket", &SOCKET_FILE, Reached::at("redis-socket", Way::Socket, || Box::pin(server::redis()))),
        ("valkey-socket", &SOCKET_FILE, Reached::at("valkey-socket", Way::Socket, || Box::pin(server::valkey()))),
        (
            "least-rights",
            &LEAST_COMMANDS,
            Reached::at("redis-least-rights", Way::LeastRights, || Box::pin(server::redis())),
        ),
    ])
}
