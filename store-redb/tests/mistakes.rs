//! Tests of mistakes of operators: each is one error when the store is opened, which names the file and the mend.
//!
//! Most run in another process of an unprivileged user, because permissions do not restrict root.
#![cfg(unix)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::Path;

use common::{TestFile, get, key, now, put, record};
use session_conformance::testing::{self, check_refusal, is_root, run_in_the_readmes_folder, run_unprivileged};
use session_core::{ErrorKind, Store};
use session_store_redb::{RedbStore, RedbStoreBuilder};

/// User who is neither root nor the one that the tests run as.
const STRANGER: u32 = 64_321;

async fn refused(builder: RedbStoreBuilder, parts: &[&str]) {
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
        "full" => full(&directory).await,
        "fresh" => {
            let error = RedbStore::builder(directory.join("fresh.redb")).open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(!directory.join("fresh.redb").exists() && !directory.join("fresh.redb.new").exists());
        }
        "open" => {
            let store = RedbStore::builder(directory.join("sessions.redb")).open().await.unwrap();
            put(&store, 1, &record(b"x")).await;
            store.close().await.unwrap();
        }
        "given" => {
            let store = RedbStore::builder(directory.join("shop/sessions.redb")).open().await.unwrap();
            put(&store, 1, &record(b"x")).await;
            store.close().await.unwrap();
        }
        other => panic!("no part {other}"),
    }
}

async fn mistakes(directory: &Path) {
    let at = |name: &str| RedbStore::builder(directory.join(name));
    let database = directory.join("sessions.redb");
    at("sessions.redb").open().await.unwrap().close().await.unwrap();

    // Paths.
    fs::create_dir(directory.join("folder")).unwrap();
    refused(at("folder"), &["is a directory; name a file in it", "/folder"]).await;
    refused(at("missing/sessions.redb"), &["does not exist; make it", "/missing/sessions.redb"]).await;
    refused(at("sessions.redb/sessions.redb"), &["/sessions.redb/sessions.redb"]).await;
    refused(at("other.redb").create(false), &["there is no database file; set `create`", "/other.redb"]).await;
    refused(RedbStore::builder("/dev/null"), &["names a device", "/dev/null"]).await;

    // Files that are something else.
    fs::write(directory.join("letter"), "dear ".repeat(2000)).unwrap();
    refused(at("letter"), &["is not a redb database; choose another", "/letter"]).await;
    fs::write(directory.join("empty"), "").unwrap();
    refused(at("empty").create(false), &["is missing or empty; restore it"]).await;

    // Permissions.
    allow(&database, 0o400);
    refused(at("sessions.redb"), &["read and write", "let the program's user", "/sessions.redb"]).await;
    allow(&database, 0o666);
    refused(at("sessions.redb"), &["other users can write", "chmod go-w", "/sessions.redb"]).await;
    allow(&database, 0o600);
    let inner = directory.join("inner");
    fs::create_dir(&inner).unwrap();
    for (mode, parts) in [
        (0o500, ["let the program's user", "/inner"]),
        (0o600, ["search the folders", "/inner"]),
        (0o777, ["other users can write", "/inner"]),
    ] {
        allow(&inner, mode);
        refused(at("inner/sessions.redb"), &parts).await;
    }
    // Like /tmp: the sticky bit keeps users from renaming files of others.
    allow(&inner, 0o1777);
    drop(at("inner/sessions.redb").open().await.unwrap());
    allow(&inner, 0o700);
    drop(at("sessions.redb").open().await.unwrap());
}

#[test]
fn a_mistake_is_one_error_at_open_with_the_file_and_the_mend() {
    let dir = TestFile::new();
    run_unprivileged("part", "mistakes", dir.directory.path(), "");
}

/// Files of another user, whom only root can play, so without root the rule's own test in `session-store-kit` has to do.
async fn strangers(directory: &Path) {
    let at = |name: &str| RedbStore::builder(directory.join(name));
    let another = "belongs to another user (uid 64321)";
    refused(at("file.redb"), &[another, "run chown on it", "/file.redb"]).await;
    refused(at("parent/sessions.redb"), &[another, "/parent"]).await;
    refused(at("dangling.redb"), &[another, "/dangling.redb"]).await;
    assert!(!directory.join("target.redb").exists(), "the link of another user is not followed");
    refused(at("root/sessions.redb"), &["let the program's user", "/root"]).await;
    refused(at("planted.redb"), &[another, "/planted.redb.new"]).await;
    assert!(!directory.join("planted.redb").exists(), "no database is made in the file of another user");
}

#[test]
fn what_another_user_could_change_is_refused() {
    let dir = TestFile::new();
    let directory = dir.directory.path();
    if !is_root(directory) {
        eprintln!("this test needs root, who alone can give files to another user");
        return;
    }
    fs::write(directory.join("file.redb"), "").unwrap();
    allow(&directory.join("file.redb"), 0o666);
    fs::create_dir(directory.join("parent")).unwrap();
    fs::create_dir(directory.join("root")).unwrap();
    symlink("target.redb", directory.join("dangling.redb")).unwrap();
    fs::write(directory.join("planted.redb.new"), "").unwrap();
    for name in ["file.redb", "parent", "dangling.redb", "planted.redb.new"] {
        lchown(directory.join(name), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    run_unprivileged("part", "strangers", directory, "");
}

/// Opens and writes under a limit on the size of files, as on a full disk.
async fn full(directory: &Path) {
    let store = RedbStore::builder(directory.join("sessions.redb")).create(false).open().await.unwrap();
    let error = store.create(&now(), &key(2), &record(&[1; 500_000])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(get(&store, 1).await.is_some());
}

#[test]
fn a_full_disk_is_an_outage_at_open_too() {
    let dir = TestFile::new();
    run_unprivileged("part", "open", dir.directory.path(), "");
    // In blocks of 512 bytes: room for the file that exists, and not for a larger one.
    let blocks = fs::metadata(dir.path()).unwrap().len() / 512;
    run_unprivileged("part", "full", dir.directory.path(), &format!("trap '' XFSZ; ulimit -f {blocks}; "));
    // Room for no database.
    run_unprivileged("part", "fresh", dir.directory.path(), "trap '' XFSZ; ulimit -f 8; ");
}

/// The file has its mode from the beginning: a process that is killed, or whose `chmod` fails, leaves none that others can read.
#[test]
fn a_new_file_is_its_owners_alone_under_any_umask() {
    for umask in ["000", "022", "077"] {
        let dir = TestFile::new();
        run_unprivileged("part", "open", dir.directory.path(), &format!("umask {umask}; "));
        let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "under {umask}");
    }
}

#[tokio::test]
async fn a_link_of_ones_own_is_followed_also_to_a_file_that_is_not_there_yet() {
    let dir = TestFile::new();
    symlink("target.redb", dir.path()).unwrap();
    put(&dir.open().await, 1, &record(b"x")).await;
    assert!(dir.directory.path().join("target.redb").exists());
}

/// A user who may make files in the folder could otherwise have any file of this user emptied.
#[tokio::test]
async fn a_link_in_the_place_of_a_new_file_is_refused_and_what_it_names_stays() {
    let link: fn(&Path, &Path) -> std::io::Result<()> = |target, link| symlink(target, link);
    for make in [link, |target, link| fs::hard_link(target, link)] {
        let dir = TestFile::new();
        let precious = dir.directory.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        let new = dir.directory.path().join("sessions.redb.new");
        make(&precious, &new).unwrap();
        let error = dir.builder().open().await.unwrap_err();
        assert!(error.to_string().contains("sessions.redb.new") && error.to_string().contains("link"), "{error}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert!(!dir.path().exists());
        fs::remove_file(&new).unwrap();
        put(&dir.open().await, 1, &record(b"x")).await;
    }
}

#[test]
fn the_readmes_statement_makes_a_folder_in_which_the_store_opens() {
    let dir = TestFile::new();
    run_in_the_readmes_folder(include_str!("../README.md"), "part", "given", dir.directory.path());
}
