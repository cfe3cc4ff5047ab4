//! Client store with a pool of connections, a time-out and its own tasks. A [`Quirk`] is a defect of one of these.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use session_core::{
    Call, Capabilities, Cursor, Error, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store,
    StoreKey, Timestamp, Version, async_trait,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::protocol::{Ask, Line, OUTCOMES, Quirk, Row, TIME_OUT, from_row, to_row};
use crate::reference::{LONGEST, fits};

/// Number of connections of a client.
const POOL: usize = 6;

struct Pool {
    server: SocketAddr,
    quirk: Quirk,
    idle: Mutex<Vec<BufStream<TcpStream>>>,
    permits: Semaphore,
    broken: Mutex<bool>,
}

/// Failure on the wire.
enum Wire {
    Broken,
    TimedOut,
}

/// Returns its connection to the pool in any state, like a pool that ignores dropped futures.
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

    /// Sends a line and reads a line.
    async fn talk(stream: &mut BufStream<TcpStream>, line: &str) -> std::io::Result<String> {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        let mut said = String::new();
        match stream.read_line(&mut said).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(said),
        }
    }

    /// Returns a pooled connection that has not ended meanwhile.
    fn pooled(&self) -> Option<BufStream<TcpStream>> {
        let mut idle = self.idle();
        loop {
            let stream = idle.pop()?;
            let silent = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
            let careless =
                matches!(self.quirk, Quirk::KeepsDeadConnections | Quirk::ResendsWrites | Quirk::InCallersFuture);
            if careless || stream.get_ref().try_read(&mut [0]).is_err_and(silent) {
                return Some(stream);
            }
        }
    }

    /// Sends a line and returns the answer. A line that was sent is never sent again, because it may have arrived.
    async fn ask(&self, line: &str) -> std::io::Result<String> {
        let _permit = self.permits.acquire().await.map_err(std::io::Error::other)?;
        let mut stream = match self.pooled() {
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
        if said.is_err() && self.quirk == Quirk::ResendsWrites {
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

pub(super) struct Client {
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
    pub(super) fn new(server: SocketAddr, namespace: Namespace, quirk: Quirk) -> Self {
        let (idle, broken) = (Mutex::default(), Mutex::new(false));
        let pool = Pool { server, quirk, idle, permits: Semaphore::new(POOL), broken };
        Self { pool: Arc::new(pool), namespace, quirk }
    }

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
            // Runs in a task of the store, so that a dropped caller leaves no connection half used.
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

    /// Sends a question over a new connection, without the pool's harmless resending.
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

/// Key for operations without a key.
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
        if self.quirk != Quirk::RetriesRenewed {
            return self.outcome(call, key, ask(expected, record)).await;
        }
        match self.ask_once::<usize>(call, key, ask(expected, record)).await {
            Ok(number) => return Ok(OUTCOMES[number]),
            Err(Wire::TimedOut) => return Err(self.outage(&Wire::TimedOut)),
            Err(Wire::Broken) => {}
        }
        let Some(stored) = self.load(call, key).await? else { return Ok(Outcome::Missing) };
        let mut again = record.clone();
        again.version = Version::random();
        self.outcome(call, key, ask(stored.version, &again)).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.outcome(call, key, Ask::Touch(expected.as_i64(), expires_at.as_millis())).await
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
