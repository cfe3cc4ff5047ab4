//! Tests of mistakes of operators: each is one error when the store is opened, which names the part and the mend.
//!
//! Most run in another process of an unprivileged user, because permissions do not restrict root.
#![cfg(unix)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;

use common::{TestFolder, key, put, record_of};
use session_conformance::testing::{self, check_refusal, is_root, run_in_the_readmes_folder, run_unprivileged};
use session_core::ErrorKind;
use session_store_file::{FileStore, FileStoreBuilder};

/// User who is neither root nor the one that the tests run as.
const STRANGER: u32 = 64_321;

async fn refused(builder: FileStoreBuilder, parts: &[&str]) {
    check_refusal(builder.open().await, ErrorKind::Config, parts, &[]);
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs a part when the tests below start it in another process. Passes otherwise.
#[tokio::test]
async fn part() {
    let Some((part, directory)) = testing::part() else { return };
    match part.as_str() {
        "mistakes" => mistakes(&directory).await,
        "strangers" => strangers(&directory).await,
        "open" => {
            let store = FileStore::builder(directory.join("data")).open().await.unwrap();
            put(&store, 1, &record_of("ann")).await;
        }
        "given" => {
            let store = FileStore::builder(directory.join("shop")).open().await.unwrap();
            put(&store, 1, &record_of("ann")).await;
        }
        other => panic!("no part {other}"),
    }
}

async fn mistakes(directory: &Path) {
    let at = |name: &str| FileStore::builder(directory.join(name));
    let store = at("data").open().await.unwrap();
    put(&store, 1, &record_of("ann")).await;
    drop(store);
    let root = directory.join("data/sessions");
    let shard = format!("{:02x}", key(1).as_bytes()[0]);

    // Paths.
    fs::write(directory.join("file"), "").unwrap();
    refused(at("file"), &["names no folder; choose another", "/file"]).await;
    refused(at("missing/data"), &["the folder above the session folder does not exist; make it", "/missing/data"])
        .await;
    refused(at("other").create(false), &["does not exist; make it, or set `create`", "/other"]).await;

    // Folders that are something else.
    fs::create_dir_all(directory.join("letters/sessions")).unwrap();
    fs::write(directory.join("letters/sessions/letter"), "dear").unwrap();
    refused(at("letters"), &["was not made by this store; choose another namespace", "/letters/sessions"]).await;
    fs::write(root.join("layout"), "store-file layout 2\n").unwrap();
    refused(at("data"), &["has layout 2; this release reads and writes layout 1", "/data/sessions"]).await;
    fs::write(root.join("layout"), "store-file layout 1\n").unwrap();

    // Permissions.
    for part in ["records", "people", "locks"] {
        let part = root.join(part);
        allow(&part, 0o500);
        if part.ends_with("locks") {
            // The locks that exist still work. A new one could not be made.
            refused(at("data"), &["/data/sessions/locks", "run chown or chmod on it"]).await;
        } else {
            refused(at("data"), &[part.to_str().unwrap(), "run chown or chmod on it"]).await;
        }
        allow(&part, 0o777);
        refused(at("data"), &["other users can write", "chmod go-w", part.to_str().unwrap()]).await;
        allow(&part, 0o700);
    }
    for part in [root.join("records").join(&shard), root.join("locks").join(&shard)] {
        allow(&part, 0o400);
        refused(at("data"), &["cannot be read and written", "Permission denied", part.to_str().unwrap()]).await;
        allow(&part, if part.is_dir() { 0o700 } else { 0o600 });
    }
    let inner = directory.join("inner");
    fs::create_dir(&inner).unwrap();
    for (mode, part) in [(0o500, "cannot be created"), (0o600, "search the folders"), (0o777, "other users can write")]
    {
        allow(&inner, mode);
        refused(at("inner/data"), &[part, "/inner"]).await;
    }
    allow(&inner, 0o1777);
    drop(at("inner/data").open().await.unwrap());
    allow(&inner, 0o700);
    drop(at("data").open().await.unwrap());
}

#[test]
fn a_mistake_is_one_error_at_open_with_the_part_and_the_mend() {
    let dir = TestFolder::new();
    run_unprivileged("part", "mistakes", dir.directory.path(), "");
}

async fn strangers(directory: &Path) {
    let at = |name: &str| FileStore::builder(directory.join(name));
    let another = "belongs to another user (uid 64321)";
    // Its owner could swap the folder for one with sessions of any principal.
    refused(at("parent/data"), &[another, "/parent"]).await;
    refused(at("linked"), &[another, "/linked/sessions"]).await;
    refused(at("data"), &["belongs to another user (uid 64321)", "/data/sessions/people"]).await;
    refused(at("roots"), &["/roots/sessions/records/", "run chown or chmod on it"]).await;
}

#[test]
fn what_another_user_could_change_is_refused() {
    let dir = TestFolder::new();
    let directory = dir.directory.path();
    if !is_root(directory) {
        eprintln!("this test needs root, who alone can give files to another user");
        return;
    }
    run_unprivileged("part", "open", directory, "");
    let copy = std::process::Command::new("cp").arg("-a").args([dir.path(), directory.join("roots")]).status();
    assert!(copy.unwrap().success());
    fs::create_dir(directory.join("parent")).unwrap();
    fs::create_dir(directory.join("linked")).unwrap();
    symlink("../data/sessions", directory.join("linked/sessions")).unwrap();
    let shard = format!("{:02x}", key(1).as_bytes()[0]);
    for (name, to) in [
        ("parent", STRANGER),
        ("linked", testing::UNPRIVILEGED),
        ("linked/sessions", STRANGER),
        ("data/sessions/people", STRANGER),
        (&*format!("roots/sessions/records/{shard}"), 0),
    ] {
        lchown(directory.join(name), Some(to), Some(to)).unwrap();
    }
    run_unprivileged("part", "strangers", directory, "");
    chown(directory, Some(0), Some(0)).unwrap();
}

#[test]
fn the_readmes_statement_makes_a_folder_in_which_the_store_opens() {
    let dir = TestFolder::new();
    run_in_the_readmes_folder(include_str!("../README.md"), "part", "given", dir.directory.path());
}
