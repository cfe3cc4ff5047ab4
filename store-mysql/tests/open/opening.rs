//! Tests of opening a store: layouts, rights of accounts, options.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_that_open_at_once_where_there_is_nothing_all_open() {
    for kind in KINDS {
        // A new server has not even the table of layouts.
        let server = Server::own(kind);
        for round in 0..3 {
            let namespace = format!("test_ten_{round}");
            let mut opening = JoinSet::new();
            for n in 0..10 {
                let url = server.url_with(&format!("namespace={namespace}"));
                opening.spawn(async move { put(&MysqlStore::connect(&url).await.unwrap(), n, &record(b"x")).await });
            }
            opening.join_all().await;
        }
    }
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_layout", "").await);
        server.sql("update `session.layouts` set layout = 2 where namespace = 'test_layout'").await;
        let error = refused(&server.url_with("namespace=test_layout")).await;
        assert!(error.contains("layout 2"), "{error}");
        // Another namespace of the same database has a layout of its own.
        drop(fresh(&server, "test_layout_other", "").await);
        server.clean("test_layout").await;
    }
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    for kind in KINDS {
        let server = Server::get(kind);
        for (change, part) in [
            ("alter table test_columns modify version int not null", "has no column `version` of type bigint"),
            ("alter table test_columns modify data blob not null", "has no column `data` of type longblob"),
            ("alter table test_columns engine = MyISAM", "change it to InnoDB"),
            ("delete from `session.layouts` where namespace = 'test_columns'", "was not made by this store"),
        ] {
            drop(fresh(&server, "test_columns", "").await);
            server.sql(change).await;
            let error = refused(&server.url_with("namespace=test_columns")).await;
            assert!(error.contains(part), "{error}");
            server.clean("test_columns").await;
        }
    }
}

#[tokio::test]
async fn without_create_the_tables_come_from_the_schema() {
    for kind in KINDS {
        let server = Server::get(kind);
        // Ensures that the table of layouts exists, whatever ran before.
        drop(fresh(&server, "test_schema_other", "").await);
        server.clean("test_schema").await;
        let error = refused(&server.url_with("namespace=test_schema&create=false")).await;
        assert!(error.contains("there is no table `test_schema` in database `conformance`"), "{error}");
        let schema = MysqlStore::schema("test_schema").unwrap();
        server.sql(&schema).await;
        server.sql(&schema).await;
        let store = MysqlStore::connect(&server.url_with("namespace=test_schema&create=false")).await.unwrap();
        put(&store, 1, &record(b"x")).await;
        server.clean("test_schema").await;
    }
}

#[tokio::test]
async fn an_account_that_may_create_nothing_is_told_what_is_missing() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_role", "").await);
        let password = server.password();
        server
            .as_root(&format!(
                "drop user if exists test_role; create user test_role identified by '{password}'; \
                 grant select on conformance.`session.layouts` to test_role"
            ))
            .await;
        let url = |options: &str| server.url_of("test_role", options);
        let error = refused(&url("namespace=test_role_absent")).await;
        assert!(error.contains("the account may not create the table `test_role_absent`"), "{error}");
        let error = refused(&url("namespace=test_role&create=false")).await;
        assert!(error.contains("the account has no right on it"), "{error}");
        server.as_root("grant select, delete on conformance.test_role to test_role").await;
        let error = refused(&url("namespace=test_role")).await;
        assert!(error.contains("grant it insert, update"), "{error}");
        server.as_root("grant insert, update on conformance.test_role to test_role").await;
        for create in ["true", "false"] {
            let store = MysqlStore::connect(&url(&format!("namespace=test_role&create={create}"))).await.unwrap();
            everything(&store, &format!("{kind:?}, create={create}")).await;
        }
        server.as_root("revoke select on conformance.`session.layouts` from test_role").await;
        let error = refused(&url("namespace=test_role")).await;
        assert!(error.contains("may not read the table `session.layouts`"), "{error}");
        server.as_root("drop user test_role").await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    for kind in KINDS {
        let server = Server::get(kind);
        for (options, part) in [
            ("pool=0", "pool must be"),
            ("queue=0", "queue must be"),
            ("timeout=0", "timeout must be"),
            ("namespace=Sessions", "namespace"),
        ] {
            let error = refused(&server.url_with(options)).await;
            assert!(error.contains(part), "{options}: {error}");
        }
        let url = server.url();
        let (place, options) = url.split_once('?').unwrap();
        let (server_alone, _) = place.rsplit_once('/').unwrap();
        let error = refused(&format!("{server_alone}?{options}")).await;
        assert!(error.contains("names no database"), "{error}");
        let error = refused(&format!("{server_alone}/there_is_none?{options}")).await;
        assert!(error.contains("there_is_none"), "{error}");
        let error = refused(&url.replacen(server.password(), "hunter2", 1)).await;
        assert!(error.contains("denied") && !error.contains("hunter2"), "{error}");
        // A self-signed certificate is refused if the server's name is to be verified.
        let error = refused(&url.replace("ssl-mode=preferred", "ssl-mode=verify_identity")).await;
        assert!(error.contains("ssl-mode"), "{error}");
    }
    let error = MysqlStore::connect("mysql://127.0.0.1:1/x?timeout=1000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let absent = MySqlConnectOptions::from_str("mysql://127.0.0.1:1/x").unwrap();
    let error = MysqlStore::builder(absent).timeout(seconds(1)).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
