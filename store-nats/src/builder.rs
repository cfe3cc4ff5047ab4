//! Builder of a store.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use session_core::{ErrorKind, Result, Version};
use session_store_kit::batch::{Entrance, PerRuntime};
use session_store_kit::{Settings, TIMED_OUT, setters, waiting, within, wrong};
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::{Connection, Options};
use crate::local::{Local, Target, attempt_limit};
use crate::login::Login;
use crate::preflight::{self, NewBucket};
use crate::revisions::Revisions;
use crate::schema::Subjects;
use crate::security::Authorities;
use crate::storage::Storage;
use crate::{Inner, NatsStore};

/// Bucket of a URL that names none.
pub(crate) const BUCKET: &str = "sessions";

/// Builder of a [`NatsStore`], from [`NatsStore::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct NatsStoreBuilder {
    addresses: Vec<Address>,
    bucket: String,
    login: Login,
    pub(crate) settings: Settings,
    pub(crate) create: bool,
    pub(crate) replicas: usize,
    pub(crate) storage: Storage,
    pub(crate) tls: Option<bool>,
    authorities: Authorities,
}

impl NatsStoreBuilder {
    pub(crate) fn at(addresses: Vec<Address>, bucket: String, login: Login) -> Self {
        Self {
            addresses,
            bucket,
            login,
            settings: Settings::new(),
            create: true,
            replicas: 1,
            storage: Storage::File,
            tls: None,
            authorities: Authorities::default(),
        }
    }

    setters! {
        /// A token of all subjects. One bucket can hold several namespaces.
        namespace;
        /// Connecting is included. Opening the store takes as long at most.
        timeout;
        /// It applies to each tokio runtime that calls.
        queue;
        /// Each attempt may take the time-out of a call. A wrong password or another mistake is not retried.
        wait;
        /// That is the bucket. Without it, a missing one is an error.
        create;
    }

    /// Sets on how many servers a new bucket is kept, 1 to 5. Default: 1. A bucket that exists stays as it is.
    ///
    /// With 3, one server may fail.
    pub const fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets where a new bucket is kept. Default: in files. A bucket that exists stays as it is.
    pub const fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Sets whether connections are encrypted. Default: yes, unless all servers are this machine.
    ///
    /// Sessions and the password can be read on the network without it.
    pub const fn tls(mut self, tls: bool) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the authorities that may sign the servers' certificates: the path of a PEM file, which is read now. Default: those that browsers trust.
    ///
    /// It turns TLS on.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the file cannot be read, or is not PEM.
    pub fn tls_ca(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.authorities = Authorities::read(path)?;
        self.tls = Some(true);
        Ok(self)
    }

    /// Sets the user by a credentials file (`.creds`), which is read now: a token and a key, as `nsc` writes them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the file cannot be read, or holds none.
    pub fn credentials(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.login = self.login.replaced_by(Login::credentials_file(path)?)?;
        Ok(self)
    }

    /// Sets the user by a file with the seed of the user's key (nkey), which is read now.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the file cannot be read, or holds none.
    pub fn nkey(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.login = self.login.replaced_by(Login::key_file(path)?)?;
        Ok(self)
    }

    /// Connects to the servers, creates the bucket if it is missing, checks it, and returns the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for a login that the server refuses,
    ///   for a server without JetStream or older than 2.11, for a missing right, and for a bucket whose settings break a promise.
    ///   The README lists them.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if no server answers within the time-out, or the bucket has no leader.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<NatsStore> {
        self.settings.check()?;
        waiting(self.settings.wait, || {
            let this = self.clone();
            async move { timeout(this.settings.timeout, this.attempt()).await.unwrap_or(Err(TIMED_OUT)) }
        })
        .await
    }

    async fn attempt(&self) -> Result<NatsStore> {
        let namespace = self.settings.check()?;
        within("replicas", self.replicas, 1..=5)?;
        check_bucket(&self.bucket)?;
        let remote = self.addresses.iter().any(Address::is_remote);
        if self.tls.is_none() && remote {
            return wrong(
                "a connection to another machine is not encrypted: give the server a block `tls` in its configuration and set `tls=true`, \
                 or set `tls=false` if the network between the machines is trusted",
            );
        }
        let options =
            Options { login: self.login.clone(), tls: self.tls == Some(true), authorities: self.authorities.clone() };
        let (subjects, limit) = (Subjects::new(&self.bucket, &namespace), self.settings.timeout);
        let (first, start) = self.connect(&options).await?;
        let replicas = u8::try_from(self.replicas).unwrap_or(1);
        let new = NewBucket { create: self.create, replicas, storage: self.storage };
        let bucket = preflight::check(&first, &subjects, &self.bucket, new, limit).await?;
        let at = Arc::new(Target {
            addresses: self.addresses.clone(),
            options,
            subjects,
            timeout: limit,
            max_data_len: bucket.max_data_len,
            replicated: bucket.replicated,
            ahead: bucket.ahead,
            revisions: Revisions::new(),
        });
        let inside = Arc::new(Entrance::default());
        let (calls, target, entrance) = (self.settings.queue, Arc::clone(&at), Arc::clone(&inside));
        let local = Local::new(Arc::clone(&at), Some(first), start, calls, inside.enter()?);
        let local =
            PerRuntime::with(local, move || Ok(Local::new(Arc::clone(&target), None, start, calls, entrance.enter()?)));
        Ok(NatsStore(Arc::new(Inner { local, inside, at, namespace, durable: bucket.durable })))
    }

    /// Connects to the first server that answers, beginning with any. Returns its position too.
    async fn connect(&self, options: &Options) -> Result<(Connection, usize)> {
        let servers = self.addresses.len();
        let limit = attempt_limit(self.settings.timeout, servers);
        // So that processes spread over the servers.
        let start = usize::try_from(Version::random().as_i64()).unwrap_or(0) % servers;
        let mut outage = TIMED_OUT;
        for n in 0..servers {
            let at = (start + n) % servers;
            match Connection::open(&self.addresses[at], options, limit).await {
                Ok(connection) => return Ok((connection, at)),
                Err(error) if error.kind() == ErrorKind::Unavailable => outage = error,
                Err(error) => return Err(error),
            }
        }
        Err(outage)
    }
}

/// Checks the name of a bucket.
pub(crate) fn check_bucket(bucket: &str) -> Result<()> {
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if bucket.is_empty() || bucket.len() > 64 || !bucket.bytes().all(permitted) {
        return wrong("the name of a bucket has 1 to 64 letters, digits, `_` and `-`: nats://host:port/bucket");
    }
    Ok(())
}

impl fmt::Debug for NatsStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStoreBuilder")
            .field("servers", &self.addresses.len())
            .field("settings", &self.settings)
            .field("create", &self.create)
            .field("replicas", &self.replicas)
            .field("storage", &self.storage)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
