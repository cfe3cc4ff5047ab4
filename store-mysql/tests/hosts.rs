//! Tests of a store with several servers: which of them it uses, and what it says if it can use none. Each test runs on MySQL and on
//! MariaDB.

mod common;

use common::{KINDS, Kind, Server};
use session_conformance::fixtures::{key, now, put, read_in_every_way, record};
use session_conformance::peers::{self, Alias};
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Outcome, Principal, Store};
use session_store_mysql::MysqlStore;
use sqlx::mysql::MySqlPoolOptions;

/// An address at which nothing listens.
const CLOSED: &str = "127.0.0.1:1";

/// Two servers of one kind with the same password. Both have all rights of the other's clients.
struct Two {
    primary: Server,
    replica: Server,
}

impl Two {
    /// Starts two servers, of which the second one is read-only.
    async fn start(kind: Kind) -> Self {
        let two = Self { primary: Server::get(kind), replica: Server::own(kind) };
        // The servers have passwords of their own, and a URL has one for all of its hosts.
        for server in [&two.primary, &two.replica] {
            let sql = "create user if not exists test_hosts identified by 'Two-Servers-1'; \
                       grant all on conformance.* to test_hosts";
            server.as_root(sql).await;
        }
        two.replica.as_root("set global read_only = 1").await;
        two
    }

    /// Returns the URL of a list of servers.
    fn at(&self, hosts: &str, options: &str) -> String {
        let url = self.primary.url_of("test_hosts", options).replace(self.primary.password(), "Two-Servers-1");
        url.replace(self.primary.address(), hosts)
    }
}

#[tokio::test]
async fn of_several_hosts_the_one_that_takes_writes_is_used() {
    for kind in KINDS {
        let two = Two::start(kind).await;
        let (primary, replica) = (two.primary.address(), two.replica.address());
        let silent = peers::silent().await.unwrap().to_string();
        for (hosts, options) in [
            (format!("{primary},{replica}"), ""),
            (format!("{CLOSED},nowhere.invalid,{replica},{primary}"), ""),
            (format!("{silent},{primary}"), "&timeout=2000"),
        ] {
            let store = MysqlStore::connect(&two.at(&hosts, &format!("namespace=test_hosts{options}"))).await;
            let store = store.unwrap_or_else(|error| panic!("{hosts}: {error}"));
            let kept = record(b"x");
            put(&store, 1, &kept).await;
            assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "{hosts}");
            assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done, "{hosts}");
        }
        let hosts = format!("{CLOSED},{silent},{replica}");
        let parts = [
            "none of the servers can be used: 127.0.0.1:1 (nothing listens), ",
            &format!("{silent} (no answer within the time-out from the server), "),
            &format!("{replica} (read_only is on, so the server is a replica"),
        ];
        let opened = MysqlStore::connect(&two.at(&hosts, "timeout=2000")).await;
        check_refusal(opened, ErrorKind::Unavailable, &parts, &["Two-Servers-1"]);
        let opened = MysqlStore::connect(&two.at(&hosts, "timeout=2000").replace("Two-Servers-1", "hunter2")).await;
        check_refusal(
            opened,
            ErrorKind::Unavailable,
            &[CLOSED, &format!("{replica} (MySQL answered: Access")],
            &["hunter2"],
        );
        let mend = "connect to the primary, or name all servers, as in mysql://a:3306,b:3306/";
        let opened = MysqlStore::connect(&two.at(replica, "")).await;
        check_refusal(opened, ErrorKind::Config, &["read_only is on", mend], &["Two-Servers-1"]);
        let pool = MySqlPoolOptions::new().connect(&two.at(replica, "")).await.unwrap();
        check_refusal(MysqlStore::from_pool(pool).open().await, ErrorKind::Config, &[mend], &[]);
    }
}

/// After a failover the former primary still answers, now read-only. No call reads from it, and no write is refused.
#[tokio::test]
async fn no_connection_reads_from_a_server_that_was_demoted() {
    for kind in KINDS {
        let two = Two::start(kind).await;
        let (before, after) = (&two.replica, &two.primary);
        before.as_root("set global read_only = 0").await;
        let alias = Alias::of(before.address()).await.unwrap();
        let options = "namespace=test_demoted";
        let listed = format!("{},{}", before.address(), after.address());
        let listed = MysqlStore::connect(&two.at(&listed, options)).await.unwrap();
        let named = MysqlStore::connect(&two.at(&alias.address().to_string(), options)).await.unwrap();
        let other = MysqlStore::connect(&two.at(after.address(), options)).await.unwrap();
        after.sql("truncate test_demoted").await;
        let ann = Principal::new("ann").unwrap();
        let (mut old, mut new) = (record(b"old"), record(b"new"));
        (old.principal, new.principal) = (Some(ann.clone()), Some(ann.clone()));
        put(&named, 1, &old).await;
        // There is no replication between the two, so the new primary has what it would have got, and a change since.
        put(&other, 1, &new).await;
        for store in [&listed, &named] {
            for found in read_in_every_way(store, &ann).await {
                assert_eq!(found.unwrap().as_ref(), Some(&old), "{kind:?}");
            }
        }
        let super_too = if matches!(kind, Kind::Mysql) { "super_read_only" } else { "read_only" };
        before.as_root(&format!("set global {super_too} = 1")).await;
        alias.lead_to(after.address());
        // A write finds out by itself.
        assert_eq!(listed.delete(&now(), &key(3), None).await.unwrap(), Outcome::Missing);
        for store in [&listed, &named] {
            for found in read_in_every_way(store, &ann).await {
                let found = found.expect("the new primary is reached by the same call");
                assert_eq!(found.as_ref(), Some(&new), "{kind:?}");
            }
        }
    }
}

/// A server that an operator has made read-only, without another one: calls are refused, and served again afterwards.
#[tokio::test]
async fn a_read_only_server_is_unavailable_until_it_takes_writes() {
    for kind in KINDS {
        let server = Server::own(kind);
        let url = server.url_with("namespace=test_read_only");
        let pool = MySqlPoolOptions::new().connect(&url.replace("namespace=test_read_only", "")).await.unwrap();
        let pooled = MysqlStore::from_pool(pool).namespace("test_read_only").open().await.unwrap();
        for store in [MysqlStore::connect(&url).await.unwrap(), pooled] {
            let kept = record(b"x");
            put(&store, 1, &kept).await;
            server.as_root("set global read_only = 1").await;
            for error in
                [store.load(&now(), &key(1)).await.unwrap_err(), store.delete(&now(), &key(1), None).await.unwrap_err()]
            {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind:?}: {error}");
            }
            server.as_root("set global read_only = 0").await;
            assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "{kind:?}");
            assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
        }
    }
}

/// What notices a demotion is in the statement of the load itself.
#[tokio::test]
async fn a_load_is_one_message_and_asks_for_the_servers_role_in_it() {
    for kind in KINDS {
        let server = Server::own(kind);
        let store = MysqlStore::connect(&server.url_with("namespace=test_messages&pool=1")).await.unwrap();
        put(&store, 1, &record(b"x")).await;
        // The statement is prepared by then.
        assert!(store.load(&now(), &key(1)).await.unwrap().is_some());
        server.as_root("set global log_output = 'TABLE'; set global general_log = 1").await;
        for _ in 0..20 {
            assert!(store.load(&now(), &key(1)).await.unwrap().is_some());
        }
        server.as_root("set global general_log = 0").await;
        let count = "select cast(count(*) as signed), cast(coalesce(sum(argument like '%read_only%'), 0) as signed) \
                     from mysql.general_log where user_host like '%conformance%' and command_type <> 'Quit'";
        let sent: (i64, i64) = sqlx::query_as(count).fetch_one(&mut server.root().await).await.unwrap();
        assert_eq!(sent, (20, 20), "{kind:?}");
    }
}
