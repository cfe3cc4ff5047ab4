//! Tests of tables that are not as the store made them.

use session_conformance::testing::{STATEMENTS, clauses_hold};

use super::*;
use crate::common::Prepared;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_partitioned_table_keeps_every_promise() {
    for kind in KINDS {
        let server = Server::get(kind);
        let change = |namespace: &str| format!("alter table `{namespace}` partition by key (`key`) partitions 5");
        clauses_hold(Prepared::on(&server, Some(change)), STATEMENTS, &format!("{kind:?}, partitioned")).await;
    }
}

/// Changes of a table and the part of the error that mends it. The statement in the error is run, and then the store opens.
const CHANGES: &[(&str, &str)] = &[
    ("alter table t drop primary key", "alter table `t` add primary key (`key`)"),
    ("alter table t drop primary key, add unique key `key` (`key`)", "alter table `t` add primary key (`key`)"),
    (
        "alter table t drop primary key, add primary key (`key`(16))",
        "alter table `t` drop primary key, add primary key (`key`)",
    ),
    (
        "alter table t drop primary key, add primary key (`key`, version)",
        "alter table `t` drop primary key, add primary key (`key`)",
    ),
    ("alter table t modify principal varchar(255)", "alter table `t` modify `principal` varbinary(255) null"),
    (
        "alter table t modify principal varchar(255) character set utf8mb4 collate utf8mb4_general_ci",
        "alter table `t` modify `principal` varbinary(255) null",
    ),
    ("alter table t modify principal varbinary(64)", "alter table `t` modify `principal` varbinary(255) null"),
    (
        "alter table t modify principal varbinary(255) not null",
        "alter table `t` modify `principal` varbinary(255) null",
    ),
    ("alter table t modify `key` varbinary(16) not null", "alter table `t` modify `key` varbinary(32) not null"),
    ("alter table t modify version bigint unsigned not null", "alter table `t` modify `version` bigint not null"),
    (
        "alter table t drop column created_at, add created_at bigint as (version) stored",
        "alter table `t` modify `created_at` bigint not null",
    ),
    ("alter table t drop key purge_at", "alter table `t` add key `purge_at` (`purge_at`)"),
    ("alter table t drop key principal", "alter table `t` add key `principal` (`principal`)"),
    ("alter table t add unique key one_each (principal)", "alter table `t` drop key `one_each`"),
    ("alter table t add shop int not null", "alter table `t` drop column `shop`"),
    ("alter table t engine = MyISAM", "alter table `t` engine = InnoDB"),
];

#[tokio::test]
async fn a_table_without_what_the_store_relies_on_is_refused_with_the_statement_that_mends_it() {
    for kind in KINDS {
        let server = Server::get(kind);
        let url = server.url_with("namespace=t");
        let mut changes = CHANGES.to_vec();
        changes.push(match kind {
            Kind::Mysql => {
                ("alter table t alter index principal invisible", "alter table `t` add key `principal` (`principal`)")
            }
            Kind::Mariadb => ("alter table t add system versioning", "alter table `t` drop system versioning"),
        });
        for (change, mend) in changes {
            drop(fresh(&server, "t_other", "").await);
            server.clean("t").await;
            drop(MysqlStore::connect(&url).await.unwrap());
            server.sql(change).await;
            let error = refused(&url).await;
            let (_, statement) =
                error.split_once("alter table").unwrap_or_else(|| panic!("{kind:?}, {change}: {error}"));
            assert_eq!(format!("alter table{statement}"), mend, "{kind:?}, {change}: {error}");
            if change.contains("invisible") {
                server.sql("alter table t drop key principal").await;
            }
            server.sql(mend).await;
            let store = MysqlStore::connect(&url).await.unwrap_or_else(|error| panic!("{kind:?}, {mend}: {error}"));
            everything(&store, &format!("{kind:?}, {mend}")).await;
        }
        server.clean("t").await;
    }
}

#[tokio::test]
async fn what_only_looks_like_a_table_is_refused() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_view", "").await);
        server
            .sql("rename table test_view to test_view_base; create view test_view as select * from test_view_base")
            .await;
        let error = refused(&server.url_with("namespace=test_view")).await;
        assert!(error.contains("is a view, not a table"), "{error}");
        server.sql("drop view test_view; drop table test_view_base").await;
        server.clean("test_view").await;
    }
}

/// Columns and indexes of an operator's own do no harm.
#[tokio::test]
async fn a_table_may_have_more_than_the_store_needs() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_more", "").await);
        server
            .sql(
                "alter table test_more add region varchar(9) not null default 'eu', add note text null,
                 modify principal varbinary(300) null, add key by_created (created_at), add unique key both_ (`key`, version)",
            )
            .await;
        let store = fresh(&server, "test_more", "").await;
        everything(&store, &format!("{kind:?}")).await;
        server.clean("test_more").await;
    }
}
