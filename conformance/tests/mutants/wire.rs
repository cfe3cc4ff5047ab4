//! A server that speaks lines over TCP, and a client store with a pool: what the clauses about networks are proved on.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conformance::{Harness, Subject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use session_core::{
    Bytes, Call, Capabilities, Cursor, Error, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record, Result,
    Store, StoreKey, Timestamp, Version, async_trait,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, Semaphore};

use crate::reference::{LONGEST, World, fits};
use crate::twist::{Worlds, subject};

/// What is wrong with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    None,
    SwallowsOutages,
    WrongKind,
    NoTimeOut,
    StaysBroken,
    KeepsDeadConnections,
    RetriesAnew,
    InCallersFuture,
    TellsPassword,
}

/// Enough for a busy machine, little for clauses that wait for it.
const TIME_OUT: Duration = Duration::from_millis(1_500);

/// Connections of one client.
const POOL: usize = 6;

/// A record on the wire: version, created, expires, principal, data.
type Row = (i64, i64, i64, Option<String>, Vec<u8>);

#[derive(Clone, Serialize, Deserialize)]
enum Ask {
    Create(Row),
    Load,
    Save(i64, Row),
    Touch(i64),
    Delete(Option<i64>),
    Purge(NonZeroU32),
    SessionsOf(String, NonZeroU32),
    DeleteAll(String, Option<[u8; 32]>),
    Scan(Option<Vec<u8>>, NonZeroU32),
}

/// A line from the client: namespace, `now`, key, question.
#[derive(Clone, Serialize, Deserialize)]
struct Line(String, i64, [u8; 32], Ask);

fn to_row(record: &Record) -> Row {
    let who = record.principal.as_ref().map(|who| who.as_str().to_owned());
    let times = (record.created_at.as_millis(), record.expires_at.as_millis());
    (record.version.as_i64(), times.0, times.1, who, record.data.to_vec())
}

fn from_row((version, created_at, expires_at, who, data): Row) -> Result<Record> {
    Ok(Record::new(
        Version::from_i64(version)?,
        Timestamp::from_millis(created_at)?,
        Timestamp::from_millis(expires_at)?,
        who.map(Principal::new).transpose()?,
        Bytes::from(data),
    ))
}

/// An outcome as a number, there and back.
const OUTCOMES: [Outcome; 4] = [Outcome::Done, Outcome::Exists, Outcome::Conflict, Outcome::Missing];

fn number(outcome: Outcome) -> serde_json::Value {
    OUTCOMES.iter().position(|other| *other == outcome).into()
}

/// What the server answers, as JSON.
fn answer(world: &World, now: Timestamp, key: &StoreKey, ask: Ask) -> Result<serde_json::Value> {
    let mut rows = world.rows();
    let shown = |rows: Vec<(StoreKey, Record)>| -> Vec<_> {
        rows.iter().map(|(key, record)| (*key.as_bytes(), to_row(record))).collect()
    };
    Ok(match ask {
        Ask::Create(row) => number(rows.create(now, key, &from_row(row)?)),
        Ask::Load => serde_json::json!(rows.live(now, key).map(to_row)),
        Ask::Save(from, row) => number(rows.save(now, key, Version::from_i64(from)?, &from_row(row)?)),
        Ask::Touch(at) => number(rows.touch(now, key, Timestamp::from_millis(at)?)),
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

/// Serves one connection: a line in, a line out.
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

/// A server on loopback, and clients to it.
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
        Ok(subject("wire").time_out(TIME_OUT).server("lines over TCP").address(self.address().await?.to_string()))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open_through(self.address().await?, namespace).await
    }

    async fn open_through(&self, server: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        let namespace = Namespace::new(namespace)?;
        let pool = Pool {
            server,
            quirk: self.quirk,
            idle: Mutex::default(),
            permits: Semaphore::new(POOL),
            broken: Mutex::new(false),
        };
        Ok(Arc::new(Client { pool: Arc::new(pool), namespace, quirk: self.quirk }))
    }

    async fn plant_orphan(&self, namespace: &str, who: &Principal, key: &StoreKey) -> Result<bool> {
        self.worlds.get_or_make(namespace.to_owned()).rows().index.insert((who.clone(), *key));
        Ok(true)
    }
}

struct Pool {
    server: SocketAddr,
    quirk: Quirk,
    idle: Mutex<Vec<BufStream<TcpStream>>>,
    permits: Semaphore,
    broken: Mutex<bool>,
}

/// What went wrong on the wire.
enum Wire {
    Broken,
    TimedOut,
}

/// Gives its connection back whatever its state, as a pool does that knows nothing of dropped futures.
struct Careless<'a>(&'a Pool, Option<BufStream<TcpStream>>);

impl Drop for Careless<'_> {
    fn drop(&mut self) {
        self.0.idle().extend(self.1.take());
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<BufStream<TcpStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> std::io::Result<BufStream<TcpStream>> {
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        Ok(BufStream::new(stream))
    }

    /// One line there, one line back.
    async fn talk(stream: &mut BufStream<TcpStream>, line: &str) -> std::io::Result<String> {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        let mut said = String::new();
        match stream.read_line(&mut said).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(said),
        }
    }

    /// Asks on a pooled connection; if that one turns out to be dead, once more on a fresh one.
    async fn ask(&self, line: &str) -> std::io::Result<String> {
        let _permit = self.permits.acquire().await.map_err(std::io::Error::other)?;
        let pooled = self.idle().pop();
        let fresh = pooled.is_none();
        let mut stream = match pooled {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        if self.quirk == Quirk::InCallersFuture {
            let mut careless = Careless(self, Some(stream));
            let Some(stream) = &mut careless.1 else { return Err(std::io::ErrorKind::Other.into()) };
            return Self::talk(stream, line).await;
        }
        let mut said = Self::talk(&mut stream, line).await;
        if said.is_err() && self.quirk == Quirk::KeepsDeadConnections {
            self.idle().push(stream);
            return said;
        }
        if said.is_err() && !fresh {
            // The others are as old as this one.
            self.idle().clear();
            stream = self.connect().await?;
            said = Self::talk(&mut stream, line).await;
        }
        if said.is_ok() {
            self.idle().push(stream);
        }
        said
    }

    async fn ask_in_time(&self, line: &str) -> Result<String, Wire> {
        if self.quirk == Quirk::NoTimeOut {
            return self.ask(line).await.map_err(|_| Wire::Broken);
        }
        match tokio::time::timeout(TIME_OUT, self.ask(line)).await {
            Ok(said) => said.map_err(|_| Wire::Broken),
            Err(_) => Err(Wire::TimedOut),
        }
    }
}

struct Client {
    pool: Arc<Pool>,
    namespace: Namespace,
    quirk: Quirk,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Client {
    async fn ask<T: DeserializeOwned>(&self, call: &Call, key: &StoreKey, ask: Ask) -> Result<T> {
        const GARBLED: Error = Error::fixed(ErrorKind::Corrupt, "the server answers something else");
        let line = Line(self.namespace.to_string(), call.now.as_millis(), *key.as_bytes(), ask);
        let mut line = serde_json::to_string(&line).map_err(|_| GARBLED)?;
        line.push('\n');
        if self.quirk == Quirk::StaysBroken && *self.pool.broken.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(self.outage(&Wire::Broken));
        }
        let said = if self.quirk == Quirk::InCallersFuture {
            self.pool.ask_in_time(&line).await
        } else {
            // In a task of the store's own: a caller that goes away leaves no connection half used.
            let pool = Arc::clone(&self.pool);
            tokio::spawn(async move { pool.ask_in_time(&line).await }).await.unwrap_or(Err(Wire::Broken))
        };
        let said = said.map_err(|wire| self.outage(&wire))?;
        serde_json::from_str(&said).map_err(|_| GARBLED)
    }

    fn outage(&self, wire: &Wire) -> Error {
        *self.pool.broken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let kind = if self.quirk == Quirk::WrongKind { ErrorKind::Other } else { ErrorKind::Unavailable };
        match (self.quirk, wire) {
            (Quirk::TellsPassword, _) => Error::new(kind, "cannot connect as user with open-sesame"),
            (_, Wire::Broken) => Error::fixed(kind, "the connection broke"),
            (_, Wire::TimedOut) => Error::fixed(kind, "no answer in time"),
        }
    }

    /// On a connection of its own, without the pool's resending, which is harmless.
    async fn ask_once<T: DeserializeOwned>(&self, call: &Call, key: &StoreKey, ask: Ask) -> Result<T, Wire> {
        let line = Line(self.namespace.to_string(), call.now.as_millis(), *key.as_bytes(), ask);
        let line = serde_json::to_string(&line).map_err(|_| Wire::Broken)? + "\n";
        let once = async {
            let mut stream = self.pool.connect().await?;
            Pool::talk(&mut stream, &line).await
        };
        let said = tokio::time::timeout(TIME_OUT, once).await.map_err(|_| Wire::TimedOut)?;
        serde_json::from_str(&said.map_err(|_| Wire::Broken)?).map_err(|_| Wire::Broken)
    }

    async fn outcome(&self, call: &Call, key: &StoreKey, ask: Ask) -> Result<Outcome> {
        let asked: Result<usize> = self.ask(call, key, ask).await;
        match asked {
            Ok(number) => OUTCOMES.get(number).copied().ok_or(Error::fixed(ErrorKind::Corrupt, "no such outcome")),
            Err(error) if self.quirk == Quirk::SwallowsOutages && error.is_transient() => Ok(Outcome::Missing),
            Err(error) => Err(error),
        }
    }
}

fn rows(listed: Vec<([u8; 32], Row)>) -> Result<Vec<(StoreKey, Record)>> {
    listed.into_iter().map(|(key, row)| Ok((StoreKey::from_bytes(key), from_row(row)?))).collect()
}

/// Operations that are about no key send this one.
const NO_KEY: StoreKey = StoreKey::from_bytes([0; StoreKey::LEN]);

#[async_trait]
impl Store for Client {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().durable(true).shared(true).by_principal(true).scan(true).max_data_len(Some(LONGEST))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        self.outcome(call, key, Ask::Create(to_row(record))).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        match self.ask::<Option<Row>>(call, key, Ask::Load).await {
            Ok(row) => row.map(from_row).transpose(),
            Err(error) if self.quirk == Quirk::SwallowsOutages && error.is_transient() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let ask = |from: Version, record: &Record| Ask::Save(from.as_i64(), to_row(record));
        if self.quirk != Quirk::RetriesAnew {
            return self.outcome(call, key, ask(expected, record)).await;
        }
        match self.ask_once(call, key, ask(expected, record)).await {
            Ok(number) => return Ok(OUTCOMES[number]),
            Err(Wire::TimedOut) => return Err(self.outage(&Wire::TimedOut)),
            Err(Wire::Broken) => {}
        }
        let Some(stored) = self.load(call, key).await? else { return Ok(Outcome::Missing) };
        let mut again = record.clone();
        again.version = Version::random();
        self.outcome(call, key, ask(stored.version, &again)).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expires_at: Timestamp) -> Result<Outcome> {
        self.outcome(call, key, Ask::Touch(expires_at.as_millis())).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.outcome(call, key, Ask::Delete(expected.map(Version::as_i64))).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let (removed, more) = self.ask(call, &NO_KEY, Ask::Purge(limit)).await?;
        Ok(Purged::new(removed, more))
    }

    async fn sessions_of(&self, call: &Call, who: &Principal, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        rows(self.ask(call, &NO_KEY, Ask::SessionsOf(who.as_str().to_owned(), limit)).await?)
    }

    async fn delete_all(&self, call: &Call, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let keep = keep.map(|key| *key.as_bytes());
        self.ask(call, &NO_KEY, Ask::DeleteAll(who.as_str().to_owned(), keep)).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let after = after.map(|cursor| cursor.as_bytes().to_vec());
        let (listed, next): (Vec<_>, Option<Vec<u8>>) = self.ask(call, &NO_KEY, Ask::Scan(after, limit)).await?;
        Ok(Page::new(rows(listed)?, next.map(Cursor::new)))
    }
}
