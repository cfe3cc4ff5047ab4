//! Tests of opening a store: URLs, folders, permissions, layouts.

mod common;

use std::fs;

use common::{Place, get, key, now, put, record, record_of};
use session_core::{ErrorKind, Outcome, Principal, Store, seconds};
use session_store_file::{FileStore, FileStoreBuilder};

async fn refused(builder: FileStoreBuilder, part: &str) {
    let error = builder.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test]
async fn confirmed_writes_survive_reopening() {
    for durable in [false, true] {
        let place = Place::new();
        let (kept, gone) = (record(b"kept"), record(b"gone"));
        let store = place.builder().durable(durable).open().await.unwrap();
        put(&store, 1, &kept).await;
        put(&store, 2, &gone).await;
        assert_eq!(store.delete(&now(), &key(2), None).await.unwrap(), Outcome::Done);
        drop(store);
        let store = place.open().await;
        assert_eq!(get(&store, 1).await, Some(kept));
        assert_eq!(get(&store, 2).await, None);
    }
}

#[tokio::test]
async fn a_url_opens_a_folder() {
    let place = Place::new();
    let options = "namespace=web&timeout=2000&durable=true&readers=1&max_len=3&queue=10";
    let url = format!("file://{}?{options}", place.path().display());
    let store = FileStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    assert!(store.capabilities().durable && store.capabilities().shared);
    assert_eq!(store.capabilities().max_data_len, Some(3));
    assert!(place.path().join("web/layout").exists());
    let again = FileStore::connect(&format!("{url}&create=false")).await.unwrap();
    assert!(get(&again, 1).await.is_some());
}

#[tokio::test]
async fn what_cannot_be_opened_is_config_and_says_why() {
    let place = Place::new();
    fs::write(place.directory.path().join("file"), "").unwrap();
    for (builder, part) in [
        (FileStore::builder(place.directory.path().join("missing/data")), "the folder above"),
        (FileStore::builder(place.directory.path().join("file")), "this is no folder"),
        (FileStore::builder(""), "the path of the session folder is empty"),
        (place.builder().create(false), "there is no such folder"),
        (place.builder().readers(0), "readers must be"),
        (place.builder().queue(0), "queue must be"),
        (place.builder().max_len(Some(0)), "max_len must be"),
        (place.builder().timeout(seconds(0)), "timeout must be"),
    ] {
        refused(builder, part).await;
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
    runtime.block_on(refused(place.builder().timeout(seconds(0)), "timeout must be"));
    runtime.block_on(refused(place.builder().readers(0), "readers must be"));
    runtime.block_on(refused(place.builder().namespace("a b"), "a namespace has"));
    drop(free);
}

#[tokio::test]
async fn hostile_names_are_refused_before_anything_is_made() {
    let place = Place::new();
    for name in ["", "a b", "../a", "a/b", ".", "A", "a\0", &"x".repeat(41)] {
        refused(place.builder().namespace(name), "a namespace has").await;
        assert!(!place.path().exists(), "{name:?}");
    }
}

#[tokio::test]
async fn without_create_what_is_missing_is_named_and_not_made() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    refused(place.builder().create(false), "there is no such folder").await;
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    drop(place.open().await);
    drop(place.builder().create(false).open().await.unwrap());

    fs::remove_dir(place.root().join("people")).unwrap();
    refused(place.builder().create(false), "sessions/people").await;
    drop(place.open().await);
    drop(place.builder().create(false).open().await.unwrap());

    fs::remove_file(place.root().join("layout")).unwrap();
    refused(place.builder().create(false), "not complete").await;
    // As after an open that was killed: the next open completes it.
    drop(place.open().await);
    drop(place.builder().create(false).open().await.unwrap());
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let place = Place::new();
    drop(place.open().await);
    fs::write(place.root().join("layout"), "store-file layout 2\n").unwrap();
    refused(place.builder(), "layout 2").await;
    fs::write(place.root().join("layout"), "hello\n").unwrap();
    refused(place.builder(), "does not say which layout").await;
    // Each namespace of a folder has its own layout.
    drop(place.builder().namespace("other").open().await.unwrap());
}

#[tokio::test]
async fn a_foreign_folder_is_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir_all(place.root()).unwrap();
    fs::write(place.root().join("letters.txt"), "dear").unwrap();
    refused(place.builder(), "was not made by this store").await;
    assert_eq!(fs::read_to_string(place.root().join("letters.txt")).unwrap(), "dear");
    assert!(!place.root().join("records").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_opened_at_once_on_a_fresh_folder_all_work() {
    for _ in 0..3 {
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
async fn namespaces_of_one_folder_are_apart() {
    let place = Place::new();
    let long = "n".repeat(39);
    let names = ["a".to_owned(), "people".to_owned(), format!("{long}1"), format!("{long}2")];
    let mut stores = Vec::new();
    for name in &names {
        let store = place.builder().namespace(name).open().await.unwrap();
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
async fn what_was_left_half_written_goes_at_open_unless_its_writer_lives() {
    let place = Place::new();
    drop(place.open().await);
    for n in 0..3 {
        place.half_written(n);
    }
    let writer = place.locked(2);
    drop(place.open().await);
    assert!(!place.shard(0).join("new").exists() && !place.shard(1).join("new").exists());
    assert!(place.shard(2).join("new").exists(), "it is being written");
    drop(writer);
    put(&place.open().await, 2, &record(b"x")).await;
    assert!(!place.shard(2).join("new").exists());
}

#[cfg(unix)]
mod rights {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_made_is_its_owners_alone() {
        let place = Place::new();
        put(&place.open().await, 1, &record_of("ann")).await;
        let mode = |path: &std::path::Path| metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in [place.path(), place.root(), place.root().join("locks"), place.shard(1)] {
            assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        }
        for file in [&place.record(1), &place.lock(1), &place.root().join("layout"), &place.entries()[0]] {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
    }

    #[tokio::test]
    async fn a_folder_that_others_can_write_to_is_refused() {
        let place = Place::new();
        drop(place.open().await);
        for (path, mode) in
            [(place.path(), 0o777), (place.path(), 0o770), (place.root(), 0o702), (place.root(), 0o1777)]
        {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            refused(place.builder(), "others than its owner can write").await;
            set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        }
        // Like /tmp: the sticky bit keeps users from renaming files of others.
        set_permissions(place.path(), Permissions::from_mode(0o1777)).unwrap();
        drop(place.open().await);
        set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        drop(place.open().await);
    }
}
