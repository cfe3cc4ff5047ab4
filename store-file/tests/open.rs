//! Tests of opening a store: URLs, folders, permissions, layouts.

mod common;

use std::fs;

use common::{TestFolder, get, key, now, put, record, record_of};
use session_conformance::testing::without_a_free_thread;
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
        let dir = TestFolder::new();
        let (kept, gone) = (record(b"kept"), record(b"gone"));
        let store = dir.builder().durable(durable).open().await.unwrap();
        put(&store, 1, &kept).await;
        put(&store, 2, &gone).await;
        assert_eq!(store.delete(&now(), &key(2), None).await.unwrap(), Outcome::Done);
        drop(store);
        let store = dir.open().await;
        assert_eq!(get(&store, 1).await, Some(kept));
        assert_eq!(get(&store, 2).await, None);
    }
}

#[tokio::test]
async fn a_url_opens_a_folder() {
    let dir = TestFolder::new();
    let options = "namespace=web&timeout=2000&durable=true&readers=1&max_len=3&queue=10";
    let url = format!("file://{}?{options}", dir.path().display());
    let store = FileStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    assert!(store.capabilities().durable && store.capabilities().shared);
    assert_eq!(store.capabilities().max_data_len, Some(3));
    assert!(dir.path().join("web/layout").exists());
    let again = FileStore::connect(&format!("{url}&create=false")).await.unwrap();
    assert!(get(&again, 1).await.is_some());
}

#[tokio::test]
async fn what_cannot_be_opened_is_config_and_says_why() {
    let dir = TestFolder::new();
    fs::write(dir.directory.path().join("file"), "").unwrap();
    for (builder, part) in [
        (FileStore::builder(dir.directory.path().join("missing/data")), "the folder above"),
        (FileStore::builder(dir.directory.path().join("file")), "names no folder"),
        (FileStore::builder(""), "the path of the session folder is empty"),
        (dir.builder().create(false), "the session folder does not exist"),
        (dir.builder().readers(0), "readers must be"),
        (dir.builder().queue(0), "queue must be"),
        (dir.builder().max_len(Some(0)), "max_len must be"),
        (dir.builder().timeout(seconds(0)), "timeout must be"),
    ] {
        refused(builder, part).await;
    }
    assert!(!dir.path().exists());
}

/// The error for an invalid option must not depend on whether a blocking thread was free within the time-out.
#[test]
fn wrong_options_are_config_while_no_thread_is_free() {
    let dir = TestFolder::new();
    without_a_free_thread(async {
        refused(dir.builder().timeout(seconds(0)), "timeout must be").await;
        refused(dir.builder().readers(0), "readers must be").await;
        refused(dir.builder().namespace("a b"), "a namespace must have").await;
    });
}

#[tokio::test]
async fn hostile_names_are_refused_before_anything_is_made() {
    let dir = TestFolder::new();
    for name in ["", "a b", "../a", "a/b", ".", "A", "a\0", &"x".repeat(41)] {
        refused(dir.builder().namespace(name), "a namespace must have").await;
        assert!(!dir.path().exists(), "{name:?}");
    }
}

#[tokio::test]
async fn without_create_what_is_missing_is_named_and_not_made() {
    let dir = TestFolder::new();
    fs::create_dir(dir.path()).unwrap();
    refused(dir.builder().create(false), "the session folder does not exist").await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(dir.open().await);
    drop(dir.builder().create(false).open().await.unwrap());

    fs::remove_dir(dir.root().join("people")).unwrap();
    refused(dir.builder().create(false), "sessions/people").await;
    drop(dir.open().await);
    drop(dir.builder().create(false).open().await.unwrap());

    fs::remove_file(dir.root().join("layout")).unwrap();
    refused(dir.builder().create(false), "not complete").await;
    // As after an open that was killed: the next open completes it.
    drop(dir.open().await);
    drop(dir.builder().create(false).open().await.unwrap());
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let dir = TestFolder::new();
    drop(dir.open().await);
    fs::write(dir.root().join("layout"), "store-file layout 2\n").unwrap();
    refused(dir.builder(), "layout 2").await;
    fs::write(dir.root().join("layout"), "hello\n").unwrap();
    refused(dir.builder(), "does not say which layout").await;
    // Each namespace of a folder has its own layout.
    drop(dir.builder().namespace("other").open().await.unwrap());
}

#[tokio::test]
async fn a_foreign_folder_is_refused_and_left_alone() {
    let dir = TestFolder::new();
    fs::create_dir_all(dir.root()).unwrap();
    fs::write(dir.root().join("letters.txt"), "dear").unwrap();
    refused(dir.builder(), "was not made by this store").await;
    assert_eq!(fs::read_to_string(dir.root().join("letters.txt")).unwrap(), "dear");
    assert!(!dir.root().join("records").exists());
}

#[tokio::test]
async fn namespaces_of_one_folder_are_apart() {
    let dir = TestFolder::new();
    let long = "n".repeat(39);
    let names = ["a".to_owned(), "people".to_owned(), format!("{long}1"), format!("{long}2")];
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
async fn what_was_left_half_written_goes_at_open_unless_its_writer_lives() {
    let dir = TestFolder::new();
    drop(dir.open().await);
    for n in 0..3 {
        dir.half_written(n);
    }
    let writer = dir.locked(2);
    drop(dir.open().await);
    assert!(!dir.shard(0).join("new").exists() && !dir.shard(1).join("new").exists());
    assert!(dir.shard(2).join("new").exists(), "it is being written");
    drop(writer);
    put(&dir.open().await, 2, &record(b"x")).await;
    assert!(!dir.shard(2).join("new").exists());
}

#[cfg(unix)]
mod rights {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_made_is_its_owners_alone() {
        let dir = TestFolder::new();
        put(&dir.open().await, 1, &record_of("ann")).await;
        let mode = |path: &std::path::Path| metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in [dir.path(), dir.root(), dir.root().join("locks"), dir.shard(1)] {
            assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        }
        for file in [&dir.record(1), &dir.lock(1), &dir.root().join("layout"), &dir.entries()[0]] {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
    }

    #[tokio::test]
    async fn a_folder_that_others_can_write_to_is_refused() {
        let dir = TestFolder::new();
        drop(dir.open().await);
        for (path, mode) in [(dir.path(), 0o777), (dir.path(), 0o757), (dir.root(), 0o702), (dir.root(), 0o1777)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            refused(dir.builder(), "other users can write").await;
            set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        }
        // Like /tmp: the sticky bit keeps users from renaming files of others.
        set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
        drop(dir.open().await);
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        drop(dir.open().await);
    }
}
