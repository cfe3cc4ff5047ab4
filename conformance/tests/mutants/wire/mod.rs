//! A server that speaks lines over TCP, and a client store with a pool. They prove the clauses about networks.

use std::net::SocketAddr;
use std::sync::Arc;

use session_conformance::{Harness, Subject};
use session_core::{
    Cursor, Error, ErrorKind, Namespace, Outcome, Principal, Record, Result, Store, StoreKey, Timestamp, Version,
    async_trait,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

mod client;
mod protocol;

pub(crate) use protocol::Quirk;

use crate::reference::World;
use crate::twist::{Worlds, subject};
use client::Client;
use protocol::{Ask, Line, OUTCOMES, TIME_OUT, from_row, to_row};

fn number(outcome: Outcome) -> serde_json::Value {
    OUTCOMES.iter().position(|other| *other == outcome).into()
}

/// Returns the server's answer as JSON.
fn answer(world: &World, now: Timestamp, key: &StoreKey, ask: Ask) -> Result<serde_json::Value> {
    let mut rows = world.rows();
    let shown = |rows: Vec<(StoreKey, Record)>| -> Vec<_> {
        rows.iter().map(|(key, record)| (*key.as_bytes(), to_row(record))).collect()
    };
    Ok(match ask {
        Ask::Create(row) => number(rows.create(now, key, &from_row(row)?)),
        Ask::Load => serde_json::json!(rows.live(now, key).map(to_row)),
        Ask::Save(from, row) => number(rows.save(now, key, Version::from_i64(from)?, &from_row(row)?)),
        Ask::Touch(from, at) => number(rows.touch(now, key, Version::from_i64(from)?, Timestamp::from_millis(at)?)),
        Ask::Delete(from) => number(rows.delete(now, key, from.map(Version::from_i64).transpose()?)),
        Ask::Purge(limit) => {
            let purged = rows.purge(now, limit);
            serde_json::json!((purged.removed, purged.more))
        }
        Ask::SessionsOf(who, limit) => {
            let mut listed = rows.sessions_of(now, &Principal::new(who)?);
            listed.truncate(limit.get() as usize);
            serde_json::json!(shown(listed))
        }
        Ask::DeleteAll(who, keep) => {
            let keep = keep.map(StoreKey::from_bytes);
            rows.delete_all(now, &Principal::new(who)?, keep.as_ref()).into()
        }
        Ask::Scan(after, limit) => {
            let page = rows.scan(now, after.map(Cursor::new), limit)?;
            serde_json::json!((shown(page.records), page.next.map(|next| next.as_bytes().to_vec())))
        }
    })
}

/// Serves one connection: reads a line and answers a line.
async fn serve(stream: TcpStream, worlds: Arc<Worlds>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufStream::new(stream);
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(1..)) {
        let Ok(Line(namespace, now, key, ask)) = serde_json::from_str(&line) else { return };
        let world = worlds.get_or_make(namespace);
        let now = Timestamp::from_millis(now).unwrap_or(Timestamp::MIN);
        let Ok(said) = answer(&world, now, &StoreKey::from_bytes(key), ask) else { return };
        let sent = async {
            stream.write_all(format!("{said}\n").as_bytes()).await?;
            stream.flush().await
        };
        if sent.await.is_err() {
            return;
        }
        line.clear();
    }
}

/// Harness with a server on loopback, and clients of it.
pub(crate) struct Bench {
    quirk: Quirk,
    worlds: Arc<Worlds>,
    server: OnceCell<SocketAddr>,
}

impl Bench {
    pub(crate) fn new(quirk: Quirk) -> Self {
        Self { quirk, worlds: Arc::new(Worlds::new(false)), server: OnceCell::new() }
    }

    async fn address(&self) -> Result<SocketAddr> {
        let listening = self.server.get_or_try_init(|| async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let worlds = Arc::clone(&self.worlds);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&worlds)));
                }
            });
            Ok::<_, std::io::Error>(address)
        });
        listening.await.copied().map_err(|error| Error::fixed(ErrorKind::Other, "no server").with_source(&error))
    }
}

#[async_trait]
impl Harness for Bench {
    async fn subject(&self) -> Result<Subject> {
        Ok(subject("wire")
            .history_ops(60_000)
            .time_out(TIME_OUT)
            .server("lines over TCP")
            .address(self.address().await?.to_string()))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open_through(self.address().await?, namespace).await
    }

    async fn open_through(&self, server: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        let namespace = Namespace::new(namespace)?;
        Ok(Arc::new(Client::new(server, namespace, self.quirk)))
    }

    async fn plant_orphan(&self, namespace: &str, who: &Principal, key: &StoreKey) -> Result<bool> {
        self.worlds.get_or_make(namespace.to_owned()).rows().index.insert((who.clone(), *key));
        Ok(true)
    }
}
