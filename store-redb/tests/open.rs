//! Tests of opening a store: URLs, files, namespaces, layouts.

mod common;

use common::{TestFile, get, now, put, record, record_of};
use redb::TableDefinition;
use session_conformance::testing::without_a_free_thread;
use session_core::{ErrorKind, Outcome, Principal, Store, seconds};
use session_store_redb::{Durability, RedbStore};

const LAYOUTS: TableDefinition<'_, &str, u64> = TableDefinition::new("session.layouts");

#[tokio::test]
async fn confirmed_writes_survive_reopening() {
    for durability in [Durability::Immediate, Durability::Delayed] {
        let dir = TestFile::new();
        let (kept, gone) = (record(b"kept"), record(b"gone"));
        let store = dir.builder().durability(durability).open().await.unwrap();
        put(&store, 1, &kept).await;
        put(&store, 2, &gone).await;
        assert_eq!(store.delete(&now(), &common::key(2), None).await.unwrap(), Outcome::Done);
        drop(store);
        let store = dir.open().await;
        assert_eq!(get(&store, 1).await, Some(kept));
        assert_eq!(get(&store, 2).await, None);
    }
}

#[tokio::test]
async fn a_url_opens_a_file() {
    let dir = TestFile::new();
    let url =
        format!("redb://{}?namespace=web&timeout=2000&durability=delayed&readers=1&cache=32", dir.path().display());
    let store = RedbStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    assert!(store.capabilities().durable && !store.capabilities().shared);
    let again = RedbStore::connect(&format!("{url}&create=false")).await.unwrap();
    assert!(get(&again, 1).await.is_some());
}

#[tokio::test]
async fn what_cannot_be_opened_is_config_and_says_why() {
    let dir = TestFile::new();
    std::fs::create_dir(dir.directory.path().join("directory")).unwrap();
    let missing = RedbStore::builder(dir.directory.path().join("missing/sessions.redb"));
    let directory = RedbStore::builder(dir.directory.path().join("directory"));
    for (builder, part) in [
        (missing, "the directory of the database does not exist"),
        (directory, "is a directory"),
        (RedbStore::builder(""), "the path of the database is empty"),
        (dir.builder().create(false), "no database file"),
        (dir.builder().readers(0), "readers must be"),
        (dir.builder().cache(0), "cache must be"),
        (dir.builder().queue(0), "queue must be"),
        (dir.builder().timeout(seconds(0)), "timeout must be"),
        (dir.builder().namespace("a b"), "namespace"),
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
async fn without_create_the_namespace_must_be_there() {
    let dir = TestFile::new();
    dir.open().await.close().await.unwrap();
    let error = dir.builder().namespace("web").create(false).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("has no namespace `web`; set `create`"), "{error}");
    dir.builder().namespace("web").open().await.unwrap().close().await.unwrap();
    drop(dir.builder().namespace("web").create(false).open().await.unwrap());
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let dir = TestFile::new();
    dir.open().await.close().await.unwrap();
    dir.foreign(|transaction| {
        transaction.open_table(LAYOUTS).unwrap().insert("sessions", 2).unwrap();
    });
    let error = dir.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`sessions` has layout 2"), "{error}");
    // Each namespace of a file has its own layout.
    drop(dir.builder().namespace("other").open().await.unwrap());
}

#[tokio::test]
async fn a_database_of_another_program_keeps_its_tables() {
    let dir = TestFile::new();
    drop(redb::Database::create(dir.path()).unwrap());
    let shop = TableDefinition::<u64, &str>::new("orders");
    dir.foreign(|transaction| {
        transaction.open_table(shop).unwrap().insert(1, "books").unwrap();
    });
    let error = dir.builder().create(false).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("the file has no sessions of this store"), "{error}");
    let store = dir.open().await;
    put(&store, 1, &record(b"x")).await;
    store.close().await.unwrap();
    dir.foreign(|transaction| {
        assert!(transaction.open_table(shop).unwrap().remove(1).unwrap().is_some_and(|order| order.value() == "books"));
    });
}

#[tokio::test]
async fn a_table_that_another_program_made_is_refused() {
    let dir = TestFile::new();
    drop(redb::Database::create(dir.path()).unwrap());
    dir.foreign(|transaction| {
        transaction.open_table(TableDefinition::<u64, u64>::new("session.records")).unwrap();
    });
    let error = dir.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("was not made by it; choose another file"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_config() {
    let dir = TestFile::new();
    for content in [&b"x"[..], &[b'x'; 8192], &[0; 100_000]] {
        std::fs::write(dir.path(), content).unwrap();
        let error = dir.builder().open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("is not a redb database; choose another"), "{error}");
        assert_eq!(std::fs::read(dir.path()).unwrap(), content, "it is left as it was");
    }
}

/// A process that is killed while the file is created leaves one of another name.
#[tokio::test]
async fn what_a_killed_process_has_left_of_a_new_file_does_no_harm() {
    let dir = TestFile::new();
    let left = dir.directory.path().join("sessions.redb.new");
    std::fs::write(&left, "half a database").unwrap();
    let (one, two) = tokio::join!(dir.builder().open(), dir.builder().namespace("other").open());
    put(&one.unwrap(), 1, &record(b"x")).await;
    put(&two.unwrap(), 1, &record(b"x")).await;
    assert!(dir.path().exists() && !left.exists());
}

#[tokio::test]
async fn a_damaged_file_is_corrupt_and_never_an_empty_one() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let records: Vec<_> = (0..200).map(|n| record(&[n as u8; 300])).collect();
    for (n, record) in (0..).zip(&records) {
        put(&store, n, record).await;
    }
    store.close().await.unwrap();
    let sound = std::fs::read(dir.path()).unwrap();
    let mut refused = 0;
    for at in (0..sound.len()).step_by(3001) {
        let mut damaged = sound.clone();
        damaged[at..].iter_mut().take(64).for_each(|byte| *byte ^= 0x55);
        std::fs::write(dir.path(), &damaged).unwrap();
        match dir.builder().open().await {
            // The page is not in use, or belonged to the commit before.
            Ok(store) => {
                for (n, record) in (0..).zip(&records) {
                    assert_eq!(get(&store, n).await.as_ref(), Some(record), "{n} after damage at {at}");
                }
                store.close().await.unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Config), "damage at {at}: {error}");
                assert!(error.to_string().contains(&*dir.path().to_string_lossy()), "{error}");
            }
        }
    }
    assert!(refused > 20, "{refused}");
    std::fs::write(dir.path(), &sound).unwrap();
    assert!(get(&dir.open().await, 7).await.is_some());
}

#[tokio::test]
async fn namespaces_of_one_file_are_apart() {
    let dir = TestFile::new();
    // One name begins another, and two differ only in their last character.
    let long = "n".repeat(39);
    let names = ["a".to_owned(), "a_b".to_owned(), format!("{long}1"), format!("{long}2")];
    let mut stores = Vec::new();
    for name in &names {
        let store = dir.builder().namespace(name).open().await.unwrap();
        put(&store, 1, &record_of("ann")).await;
        stores.push(store);
    }
    let ann = Principal::new("ann").unwrap();
    assert_eq!(stores[0].delete_all(&now(), &ann, None).await.unwrap(), 1);
    for store in &stores[1..] {
        assert!(get(store, 1).await.is_some());
        assert_eq!(store.scan(&now(), None, common::MANY).await.unwrap().records.len(), 1);
    }
    assert_eq!(get(&stores[0], 1).await, None);
}

#[tokio::test]
async fn stores_of_one_process_need_the_same_options_of_the_file() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let error = dir.builder().cache(128).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("give all its stores the same"), "{error}");
    store.close().await.unwrap();
    drop(dir.builder().cache(128).open().await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TestFile::new();
    let mode = || metadata(dir.path()).unwrap().permissions().mode() & 0o777;
    dir.open().await.close().await.unwrap();
    assert_eq!(mode(), 0o600);
    set_permissions(dir.path(), Permissions::from_mode(0o640)).unwrap();
    let _store = dir.open().await;
    assert_eq!(mode(), 0o640);
    assert_eq!(std::fs::read_dir(dir.directory.path()).unwrap().count(), 1, "there is nothing but the one file");
}
