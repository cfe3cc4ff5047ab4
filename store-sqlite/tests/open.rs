//! Tests of opening a store: URLs, files, tables, layouts.

mod common;

use common::{TestFile, get, now, put, record, record_of};
use session_conformance::testing::without_a_free_thread;
use session_core::{Call, Clock as _, ErrorKind, Outcome, Store, SystemClock, hours, seconds};
use session_store_sqlite::{SqliteStore, Synchronous};

#[tokio::test]
async fn confirmed_writes_survive_reopening() {
    let dir = TestFile::new();
    let (kept, gone) = (record(b"kept"), record(b"gone"));
    let store = dir.builder().synchronous(Synchronous::Full).open().await.unwrap();
    put(&store, 1, &kept).await;
    put(&store, 2, &gone).await;
    assert_eq!(store.delete(&now(), &common::key(2), None).await.unwrap(), Outcome::Done);
    drop(store);
    let store = dir.open().await;
    assert_eq!(get(&store, 1).await, Some(kept));
    assert_eq!(get(&store, 2).await, None);
}

#[tokio::test]
async fn a_url_opens_files_and_memory() {
    let dir = TestFile::new();
    let url = format!("sqlite://{}?namespace=web&timeout=2000&synchronous=full&readers=1", dir.path().display());
    let store = SqliteStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    assert!(store.capabilities().durable && store.capabilities().shared);
    let again = SqliteStore::connect(&format!("{url}&create=false")).await.unwrap();
    assert!(get(&again, 1).await.is_some());

    for url in ["sqlite::memory:", "sqlite://:memory:"] {
        let store = SqliteStore::connect(url).await.unwrap();
        put(&store, 1, &record(b"x")).await;
        assert!(get(&store, 1).await.is_some());
        assert!(!store.capabilities().durable && !store.capabilities().shared);
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_config_and_says_why() {
    let dir = TestFile::new();
    std::fs::create_dir(dir.directory.path().join("directory")).unwrap();
    let missing = SqliteStore::builder(dir.directory.path().join("missing/sessions.db"));
    let directory = SqliteStore::builder(dir.directory.path().join("directory"));
    for (builder, part) in [
        (missing, "the directory of the database does not exist"),
        (directory, "is a directory"),
        (SqliteStore::builder(""), "the path of the database is empty"),
        (dir.builder().create(false), "no database file"),
        (dir.builder().readers(0), "readers must be"),
        (dir.builder().queue(0), "queue must be"),
        (dir.builder().timeout(seconds(0)), "timeout must be"),
    ] {
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!dir.path().exists());
}

/// The error for an invalid option must not depend on whether a blocking thread was free within the time-out.
#[test]
fn wrong_options_are_config_while_no_thread_is_free() {
    let dir = TestFile::new();
    for builder in [dir.builder().timeout(seconds(0)), dir.builder().readers(0), dir.builder().namespace("a b")] {
        let error = without_a_free_thread(builder.open()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

#[tokio::test]
async fn hostile_names_are_refused_before_any_statement() {
    let dir = TestFile::new();
    for name in ["", "a b", "a\"; drop table x; --", "A", "a\0", "sqlite_sessions", &"x".repeat(41)] {
        let error = dir.builder().namespace(name).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name:?}");
        assert!(!dir.path().exists(), "{name:?}");
        assert_eq!(SqliteStore::schema(name).unwrap_err().kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn without_create_the_tables_come_from_the_schema() {
    let dir = TestFile::new();
    let foreign = dir.foreign();
    let error = dir.builder().create(false).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("there is no table `sessions`"), "{error}");
    let schema = SqliteStore::schema("sessions").unwrap();
    foreign.execute_batch(&schema).unwrap();
    foreign.execute_batch(&schema).unwrap();
    let store = dir.builder().create(false).open().await.unwrap();
    put(&store, 1, &record(b"x")).await;
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let dir = TestFile::new();
    drop(dir.open().await);
    let foreign = dir.foreign();
    foreign.execute_batch(r#"update "session.layouts" set layout = 2"#).unwrap();
    let error = dir.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("layout 2"), "{error}");
    // Each namespace of a file has its own layout.
    drop(dir.builder().namespace("other").open().await.unwrap());
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    let dir = TestFile::new();
    dir.foreign().execute_batch("create table Sessions (id integer primary key, body text)").unwrap();
    let error = dir.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("was not made by this store"), "{error}");
}

#[tokio::test]
async fn a_table_with_other_columns_is_refused() {
    let dir = TestFile::new();
    drop(dir.open().await);
    dir.foreign().execute_batch("alter table sessions rename column data to body").unwrap();
    assert_eq!(dir.builder().open().await.unwrap_err().kind(), ErrorKind::Config);
}

/// Replaces `from` by `to` in the SQL of the table, runs it, and returns the error of opening a store on it.
async fn refused_with(from: &str, to: &str) -> (TestFile, String) {
    let dir = TestFile::new();
    let schema = SqliteStore::schema("sessions").unwrap();
    assert!(schema.contains(from), "{from}");
    dir.foreign().execute_batch(&schema.replace(from, to)).unwrap();
    let error = dir.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    (dir, error.to_string())
}

#[tokio::test]
async fn a_table_without_what_the_store_relies_on_is_refused_with_the_statement_that_mends_it() {
    for (from, to, mend) in [
        (
            "key blob not null primary key",
            "key blob not null",
            r#"create unique index "sessions.key" on "sessions" (key)"#,
        ),
        (
            "data blob not null",
            "data blob not null, unique (version)",
            "the unique index on `version` of the table `sessions` refuses sessions",
        ),
        (
            "data blob not null",
            "data blob not null, shop integer not null",
            r#"alter table "sessions" drop column "shop""#,
        ),
        ("principal text null", "principal text collate nocase null", "takes different names for equal"),
        ("principal text null", "principal text collate rtrim null", "takes different names for equal"),
        (
            "principal text null",
            "principal text not null",
            "the column `principal` of the table `sessions` does not take",
        ),
        ("version integer not null", "version any not null", "no column `version` of type INTEGER"),
        (
            r#"create index if not exists "sessions.purge_at" on "sessions" (purge_at);"#,
            "",
            r#"create index "sessions.purge_at" on "sessions" (purge_at)"#,
        ),
        (
            r#"create index if not exists "sessions.principal" on "sessions" (principal) where principal is not null;"#,
            "",
            r#"create index "sessions.principal" on "sessions" (principal) where principal is not null"#,
        ),
    ] {
        let (dir, error) = refused_with(from, to).await;
        assert!(error.contains(mend), "{to}: {error}");
        if let Some((_, statement)) = error.split_once("run: ") {
            dir.foreign().execute_batch(statement).unwrap();
            put(&dir.open().await, 1, &record(b"x")).await;
        }
    }
}

/// Columns and indexes of an operator's own do no harm.
#[tokio::test]
async fn a_table_may_have_more_than_the_store_needs() {
    let dir = TestFile::new();
    drop(dir.open().await);
    dir.foreign()
        .execute_batch(
            "alter table sessions add region text not null default 'eu'; alter table sessions add note text;
             create unique index both_ on sessions (key, version); create index by_created on sessions (created_at)",
        )
        .unwrap();
    let store = dir.open().await;
    let past = Call::new(SystemClock.now().minus(hours(2)));
    let mut old = record(b"old");
    (old.created_at, old.expires_at) = (past.now, past.now.plus(hours(1)));
    for n in 1..=3 {
        put(&store, n, &record(b"x")).await;
        assert_eq!(store.create(&past, &common::key(10 + n), &old).await.unwrap(), Outcome::Done);
    }
    assert_eq!(store.purge(&now(), common::MANY).await.unwrap().removed, 3);
    for n in 1..=3 {
        assert!(get(&store, n).await.is_some());
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_config() {
    let dir = TestFile::new();
    std::fs::write(dir.path(), [b'x'; 8192]).unwrap();
    assert_eq!(dir.builder().open().await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn namespaces_of_one_file_are_apart() {
    let dir = TestFile::new();
    // One name resembles an index of another, and two differ only in their last character.
    let long = "n".repeat(39);
    let names = ["a".to_owned(), "a_principal".to_owned(), format!("{long}1"), format!("{long}2")];
    let mut stores = Vec::new();
    for name in &names {
        let store = dir.builder().namespace(name).open().await.unwrap();
        put(&store, 1, &record_of("ann")).await;
        stores.push(store);
    }
    let ann = session_core::Principal::new("ann").unwrap();
    assert_eq!(stores[0].delete_all(&now(), &ann, None).await.unwrap(), 1);
    for store in &stores[1..] {
        assert!(get(store, 1).await.is_some());
        assert_eq!(store.scan(&now(), None, common::MANY).await.unwrap().records.len(), 1);
    }
    assert_eq!(get(&stores[0], 1).await, None);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TestFile::new();
    let mode = |name: &str| metadata(dir.directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    let store = dir.open().await;
    assert_eq!((mode("sessions.db"), mode("sessions.db-wal")), (0o600, 0o600));
    drop(store);
    set_permissions(dir.path(), Permissions::from_mode(0o640)).unwrap();
    let _store = dir.open().await;
    assert_eq!(mode("sessions.db"), 0o640);
}
