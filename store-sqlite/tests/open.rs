//! Tests of opening a store: URLs, files, tables, layouts.

mod common;

use common::{Place, get, now, put, record, record_of};
use session_core::{ErrorKind, Outcome, Store, seconds};
use session_store_sqlite::{SqliteStore, Synchronous};

#[tokio::test]
async fn confirmed_writes_survive_reopening() {
    let place = Place::new();
    let (kept, gone) = (record(b"kept"), record(b"gone"));
    let store = place.builder().synchronous(Synchronous::Full).open().await.unwrap();
    put(&store, 1, &kept).await;
    put(&store, 2, &gone).await;
    assert_eq!(store.delete(&now(), &common::key(2), None).await.unwrap(), Outcome::Done);
    drop(store);
    let store = place.open().await;
    assert_eq!(get(&store, 1).await, Some(kept));
    assert_eq!(get(&store, 2).await, None);
}

#[tokio::test]
async fn a_url_opens_files_and_memory() {
    let place = Place::new();
    let url = format!("sqlite://{}?namespace=web&timeout=2000&synchronous=full&readers=1", place.path().display());
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
    let place = Place::new();
    std::fs::create_dir(place.directory.path().join("directory")).unwrap();
    let missing = SqliteStore::builder(place.directory.path().join("missing/sessions.db"));
    let directory = SqliteStore::builder(place.directory.path().join("directory"));
    for (builder, part) in [
        (missing, "the directory of the database does not exist"),
        (directory, "is a directory"),
        (SqliteStore::builder(""), "the path of the database is empty"),
        (place.builder().create(false), "no database file"),
        (place.builder().readers(0), "readers must be"),
        (place.builder().queue(0), "queue must be"),
        (place.builder().timeout(seconds(0)), "timeout must be"),
    ] {
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!place.path().exists());
}

/// The error for an invalid option must not depend on whether a blocking thread was free within the time-out.
#[test]
fn wrong_options_are_config_while_no_thread_is_free() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
    let (free, busy) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || busy.recv());
    let place = Place::new();
    for builder in [place.builder().timeout(seconds(0)), place.builder().readers(0), place.builder().namespace("a b")] {
        let error = runtime.block_on(builder.open()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    drop(free);
}

#[tokio::test]
async fn hostile_names_are_refused_before_any_statement() {
    let place = Place::new();
    for name in ["", "a b", "a\"; drop table x; --", "A", "a\0", "sqlite_sessions", &"x".repeat(41)] {
        let error = place.builder().namespace(name).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name:?}");
        assert!(!place.path().exists(), "{name:?}");
        assert_eq!(SqliteStore::schema(name).unwrap_err().kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn without_create_the_tables_come_from_the_schema() {
    let place = Place::new();
    let foreign = place.foreign();
    let error = place.builder().create(false).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("there is no table `sessions`"), "{error}");
    let schema = SqliteStore::schema("sessions").unwrap();
    foreign.execute_batch(&schema).unwrap();
    foreign.execute_batch(&schema).unwrap();
    let store = place.builder().create(false).open().await.unwrap();
    put(&store, 1, &record(b"x")).await;
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let place = Place::new();
    drop(place.open().await);
    let foreign = place.foreign();
    foreign.execute_batch(r#"update "session.layouts" set layout = 2"#).unwrap();
    let error = place.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("layout 2"), "{error}");
    // Each namespace of a file has its own layout.
    drop(place.builder().namespace("other").open().await.unwrap());
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    let place = Place::new();
    place.foreign().execute_batch("create table Sessions (id integer primary key, body text)").unwrap();
    let error = place.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("was not made by this store"), "{error}");
}

#[tokio::test]
async fn a_table_with_other_columns_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    place.foreign().execute_batch("alter table sessions rename column data to body").unwrap();
    assert_eq!(place.builder().open().await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let place = Place::new();
    std::fs::write(place.path(), [b'x'; 8192]).unwrap();
    assert_eq!(place.builder().open().await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_opened_at_once_on_a_fresh_file_all_work() {
    for _ in 0..5 {
        let place = Place::new();
        let opening: Vec<_> = (0..8).map(|_| tokio::spawn(place.builder().open())).collect();
        let mut stores = Vec::new();
        for store in opening {
            stores.push(store.await.unwrap().unwrap());
        }
        for (n, store) in stores.iter().enumerate() {
            put(store, n as u32, &record(b"x")).await;
        }
        for store in &stores {
            for n in 0..stores.len() {
                assert!(get(store, n as u32).await.is_some());
            }
        }
    }
}

#[tokio::test]
async fn namespaces_of_one_file_are_apart() {
    let place = Place::new();
    // One name resembles an index of another, and two differ only in their last character.
    let long = "n".repeat(39);
    let names = ["a".to_owned(), "a_principal".to_owned(), format!("{long}1"), format!("{long}2")];
    let mut stores = Vec::new();
    for name in &names {
        let store = place.builder().namespace(name).open().await.unwrap();
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
    let place = Place::new();
    let mode = |name: &str| metadata(place.directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    let store = place.open().await;
    assert_eq!((mode("sessions.db"), mode("sessions.db-wal")), (0o600, 0o600));
    drop(store);
    set_permissions(place.path(), Permissions::from_mode(0o640)).unwrap();
    let _store = place.open().await;
    assert_eq!(mode("sessions.db"), 0o640);
}
