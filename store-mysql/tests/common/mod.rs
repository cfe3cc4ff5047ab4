//! What the tests of this store share: a server of one kind, and the suite over the store on it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use conformance::{Harness, Subject, server};
use session_core::{Namespace, Result, Store, async_trait};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _};
use store_mysql::MysqlStore;
use tokio::sync::OnceCell;

const TIME_OUT: Duration = Duration::from_secs(5);

/// Which server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Mysql,
    Mariadb,
}

/// Both.
pub(crate) const KINDS: [Kind; 2] = [Kind::Mysql, Kind::Mariadb];

/// The server under test.
pub(crate) struct Server(server::Server);

impl Server {
    /// One of a kind for all tests that run at the time, removed when the last of them lets it go.
    pub(crate) fn get(kind: Kind) -> Arc<Self> {
        static SERVERS: [Mutex<Weak<Server>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
        let mut shared = SERVERS[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::own(kind));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// One for a test that changes it.
    pub(crate) fn own(kind: Kind) -> Self {
        // A thread of its own, for the caller may be on a runtime already.
        let starting = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(Self::start(kind))
        });
        starting.join().expect("no panic").expect("a server")
    }

    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        match kind {
            Kind::Mysql => server::mysql().await,
            Kind::Mariadb => server::mariadb().await,
        }
        .map(Self)
    }

    pub(crate) fn password(&self) -> &str {
        self.0.password()
    }

    /// The server's URL with these options.
    pub(crate) fn url(&self, options: &str) -> String {
        with(self.0.url(), options)
    }

    /// The URL of another account with the suite's password.
    pub(crate) fn url_of(&self, account: &str, options: &str) -> String {
        let url = self.url(options);
        let begin = url.find("://").expect("a scheme") + 3;
        let end = begin + url[begin..].find(':').expect("a password");
        format!("{}{account}{}", &url[..begin], &url[end..])
    }

    /// A connection of somebody else's.
    pub(crate) async fn foreign(&self) -> MySqlConnection {
        MySqlConnection::connect(self.0.url()).await.expect("a connection")
    }

    /// Runs statements in turn, as somebody who may do everything: the account `root` of the suite's containers.
    pub(crate) async fn as_root(&self, sql: &str) {
        let mut root = MySqlConnection::connect(&self.url_of("root", "")).await.expect("an account `root`");
        let done = root.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.unwrap_or_else(|error| panic!("a statement of the test: {error}"));
    }

    /// Runs statements in turn, as somebody else.
    pub(crate) async fn sql(&self, sql: &str) {
        let done = self.foreign().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.unwrap_or_else(|error| panic!("a statement of the test: {error}"));
    }

    async fn version(&self) -> String {
        let row = self.foreign().await.fetch_one("select version()").await;
        let version: String = row.expect("a version").get(0);
        let number = version.split('-').next().unwrap_or_default();
        format!("{} {number}", if version.contains("MariaDB") { "MariaDB" } else { "MySQL" })
    }

    /// Removes what is in `namespace`, if it is one.
    pub(crate) async fn clean(&self, namespace: &str) {
        if Namespace::new(namespace).is_ok() {
            self.sql(&format!(
                "drop table if exists `{namespace}`; delete from `session.layouts` where namespace = '{namespace}'"
            ))
            .await;
        }
    }
}

fn with(url: &str, options: &str) -> String {
    format!("{url}{}{options}", if url.contains('?') { '&' } else { '?' })
}

/// The store on one kind of server. All namespaces are in one database: there they must be apart.
pub(crate) struct Suite {
    /// What the table of all stores calls it.
    name: &'static str,
    kind: Kind,
    server: OnceCell<Server>,
}

impl Suite {
    pub(crate) const fn on(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, server: OnceCell::const_new() }
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(|| Server::start(self.kind)).await
    }
}

async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    let namespace: String = namespace.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let url = with(url, &format!("namespace={namespace}&timeout={}", TIME_OUT.as_millis()));
    Ok(Arc::new(MysqlStore::connect(&url).await?))
}

#[async_trait]
impl Harness for Suite {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(server.version().await);
        Ok(subject.address(server.0.address()).secret(server.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.server().await?.0.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.server().await?.0.url_through(proxy), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(server) = self.server().await {
            server.clean(namespace).await;
        }
    }
}
