//! Tests of full disks, locks of other processes, revoked permissions, and folders and files that are removed.

mod common;

use std::fs;

use common::{MANY, TestFolder, begin, get, key, now, put, record, record_of};
use session_conformance::testing::all_unavailable;
use session_core::{ErrorKind, Outcome, Principal, Store, seconds};
use session_store_file::FileStore;

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    let writer = dir.locked(1);
    let (call, k, record) = (now(), key(1), record(b"x"));
    let create = begin(store.create(&call, &k, &record)).await;
    // Readers and other shards do not wait.
    assert_eq!(get(&store, 1).await, None);
    put(&store, 2, &record).await;
    drop(writer);
    assert_eq!(create.await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_lock_that_outlasts_the_time_out_is_unavailable_and_nothing_was_written() {
    let dir = TestFolder::new();
    let store = dir.builder().timeout(seconds(2)).open().await.unwrap();
    let old = record_of("ann");
    put(&store, 1, &old).await;
    let writer = dir.locked(1);
    let (call, k, new, ann) = (now(), key(1), record(b"new"), Principal::new("ann").unwrap());
    let later = old.expires_at.plus(seconds(60));
    let waiting = [
        begin(store.touch(&call, &k, old.version, later)).await,
        begin(store.save(&call, &k, old.version, &new)).await,
        begin(store.delete(&call, &k, None)).await,
    ];
    assert_eq!(store.delete_all(&call, &ann, None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for answer in waiting {
        assert_eq!(answer.await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    drop(writer);
    // This call is behind them in the shard's queue, so everything they did is finished before it.
    assert_eq!(store.delete(&now(), &key(257), None).await.unwrap(), Outcome::Missing);
    assert_eq!(get(&store, 1).await.as_ref(), Some(&old));
    assert_eq!(store.save(&now(), &key(1), old.version, &record(b"newer")).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_closed_store_has_done_what_was_in_flight_and_is_unavailable() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    let clone = store.clone();
    let known = record_of("ann");
    put(&store, 1, &known).await;
    // Both wait for a lock when the store is closed. The caller of one has stopped waiting.
    let writer = dir.locked(2);
    let (call, k, dropped, new) = (now(), key(2), key(258), record(b"new"));
    let waiting = begin(store.create(&call, &k, &new)).await;
    let abandoned = begin(store.create(&call, &dropped, &new)).await;
    let closing = begin(clone.close()).await;
    assert_eq!(
        store.load(&now(), &key(1)).await.unwrap(),
        Some(known.clone()),
        "loads go on until no other call is left"
    );
    drop((abandoned, writer));
    assert_eq!(waiting.await.unwrap(), Outcome::Done);
    closing.await.unwrap();
    all_unavailable(&store, &known).await;
    clone.close().await.unwrap();
    let again = dir.open().await;
    assert_eq!(get(&again, 1).await, Some(known));
    assert_eq!(get(&again, 2).await, Some(new));
}

#[tokio::test]
async fn a_dropped_call_leaves_no_lock() {
    let dir = TestFolder::new();
    let store = dir.builder().timeout(seconds(2)).open().await.unwrap();
    let (call, k, new) = (now(), key(1), record(b"x"));
    let writer = dir.locked(1);
    for _ in 0..10 {
        drop(begin(store.create(&call, &k, &new)).await);
    }
    drop(writer);
    put(&store, 257, &new).await;
    // The thread that waited for the dropped calls releases the lock.
    drop(dir.locked(1));
}

#[tokio::test]
async fn opening_a_locked_folder_is_unavailable_after_the_time_out() {
    let dir = TestFolder::new();
    drop(dir.open().await);
    let file = fs::File::options().append(true).open(dir.root().join("locks/open")).unwrap();
    file.lock().unwrap();
    let error = dir.builder().timeout(seconds(2)).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_folder_that_goes_away_is_an_outage_and_its_return_ends_it() {
    let dir = TestFolder::new();
    let aside = dir.directory.path().join("aside");
    let store = dir.open().await;
    let known = record_of("ann");
    put(&store, 1, &known).await;

    fs::rename(dir.path(), &aside).unwrap();
    all_unavailable(&store, &known).await;
    fs::create_dir(dir.path()).unwrap();
    all_unavailable(&store, &known).await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made in the place of what is gone");
    fs::remove_dir(dir.path()).unwrap();
    fs::write(dir.path(), "a file in its place").unwrap();
    all_unavailable(&store, &known).await;
    fs::remove_file(dir.path()).unwrap();
    fs::rename(&aside, dir.path()).unwrap();
    assert_eq!(get(&store, 1).await, Some(known.clone()));
    let newer = record(b"newer");
    assert_eq!(store.save(&now(), &key(1), known.version, &newer).await.unwrap(), Outcome::Done);
    drop(store);
    assert_eq!(get(&dir.open().await, 1).await, Some(newer));
}

#[tokio::test]
async fn without_the_folder_of_all_records_no_session_is_called_unknown() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    let known = record_of("ann");
    let aside = dir.directory.path().join("aside");
    fs::rename(dir.root().join("records"), &aside).unwrap();
    for error in [
        store.load(&now(), &key(1)).await.map(drop).unwrap_err(),
        store.create(&now(), &key(1), &known).await.map(drop).unwrap_err(),
        store.scan(&now(), None, MANY).await.map(drop).unwrap_err(),
        store.purge(&now(), MANY).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    fs::rename(aside, dir.root().join("records")).unwrap();
    put(&store, 1, &known).await;
    fs::rename(dir.root().join("people"), dir.root().join("elsewhere")).unwrap();
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.sessions_of(&now(), &ann, MANY).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let error = store.create(&now(), &key(2), &known).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "a record without its entry must not be");
    assert_eq!(get(&store, 2).await, None);
}

#[tokio::test]
async fn a_shard_that_is_removed_is_made_again() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    put(&store, 1, &record(b"x")).await;
    fs::remove_dir_all(dir.shard(1)).unwrap();
    assert_eq!(get(&store, 1).await, None);
    put(&store, 1, &record(b"x")).await;
    assert!(get(&store, 1).await.is_some());
}

#[tokio::test]
async fn a_session_whose_file_is_removed_has_ended() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    let known = record_of("ann");
    put(&store, 1, &known).await;
    fs::remove_file(dir.record(1)).unwrap();
    assert_eq!(get(&store, 1).await, None);
    assert_eq!(store.save(&now(), &key(1), known.version, &record(b"y")).await.unwrap(), Outcome::Missing);
    assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Missing);
    let ann = Principal::new("ann").unwrap();
    assert!(store.sessions_of(&now(), &ann, MANY).await.unwrap().is_empty());
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 0);
    assert_eq!(dir.entries().len(), 0, "an entry without its session is taken away");
    put(&store, 1, &known).await;
}

#[tokio::test]
async fn removed_locks_are_made_again() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    put(&store, 1, &record(b"x")).await;
    fs::remove_file(dir.lock(1)).unwrap();
    put(&store, 257, &record(b"x")).await;
    assert!(dir.lock(1).exists());
}

/// Tests that run a part in a separate process with fewer permissions than this one.
#[cfg(unix)]
mod elsewhere {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    const PART: &str = "STORE_FILE_TEST_FAULT";
    const PATH: &str = "STORE_FILE_TEST_PATH";
    /// Unprivileged user for the parts when the tests run as root, whom permissions do not restrict.
    const UNPRIVILEGED: u32 = 65534;

    /// Runs a part of this program in `dir`, in a shell that runs `first` before it.
    fn play(part: &str, dir: &TestFolder, first: &str) {
        let program = dir.directory.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{first}exec \"$0\" --exact elsewhere::part --nocapture")).arg(&program);
        command.env(PART, part).env(PATH, dir.directory.path()).env("RUST_BACKTRACE", "0");
        if fs::metadata(dir.directory.path()).unwrap().uid() == 0 {
            fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
            chown(dir.directory.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED).current_dir("/");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed") && text.contains("PLAYED"), "{text}");
    }

    /// Runs a part when the tests below start it in another process. Passes otherwise.
    #[tokio::test]
    async fn part() {
        let Ok(part) = std::env::var(PART) else { return };
        let folder = PathBuf::from(std::env::var_os(PATH).unwrap()).join("data");
        match part.as_str() {
            "rights" => rights(&folder).await,
            "large" => large(&folder).await,
            "foreign" => {
                let error = FileStore::builder(&folder).open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            }
            other => panic!("no part {other}"),
        }
        println!("PLAYED");
    }

    fn allow(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    async fn rights(folder: &Path) {
        let store = FileStore::builder(folder).open().await.unwrap();
        let known = record_of("ann");
        put(&store, 1, &known).await;
        let root = folder.join("sessions");
        // The folder cannot be searched.
        allow(&root, 0o000);
        all_unavailable(&store, &known).await;
        assert_eq!(FileStore::builder(folder).open().await.unwrap_err().kind(), ErrorKind::Config);
        allow(&root, 0o700);
        assert_eq!(get(&store, 1).await.as_ref(), Some(&known));

        // The folder cannot be written to, but its sessions can still be loaded.
        let shard = root.join("records").join(format!("{:02x}", key(1).as_bytes()[0]));
        allow(&shard, 0o500);
        let newer = record_of("ann");
        for error in [
            store.save(&now(), &key(1), known.version, &newer).await.unwrap_err(),
            store.delete(&now(), &key(1), None).await.unwrap_err(),
            store.touch(&now(), &key(1), known.version, known.expires_at.plus(seconds(9))).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        assert_eq!(get(&store, 1).await.as_ref(), Some(&known));
        allow(&shard, 0o700);
        assert_eq!(store.save(&now(), &key(1), known.version, &newer).await.unwrap(), Outcome::Done);

        // A session whose file may not be read is an outage too, and not an unknown session.
        let file = fs::read_dir(&shard).unwrap().next().unwrap().unwrap().path();
        allow(&file, 0o000);
        assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        allow(&file, 0o600);
        assert_eq!(get(&store, 1).await, Some(newer));

        drop(store);
        allow(&root, 0o500);
        let error = FileStore::builder(folder).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("cannot be written to"), "{error}");
        allow(&root, 0o700);
    }

    #[test]
    fn rights_that_are_taken_away_are_an_outage_until_they_are_back() {
        play("rights", &TestFolder::new(), "");
    }

    /// Saves large sessions under a limit on the size of files, so that a write stops in the middle as on a full disk.
    async fn large(folder: &Path) {
        let store = FileStore::builder(folder).open().await.unwrap();
        let old = record(b"old");
        put(&store, 1, &old).await;
        let large = record(&[1; 500_000]);
        let error = store.save(&now(), &key(1), old.version, &large).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(store.create(&now(), &key(2), &large).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(get(&store, 1).await.as_ref(), Some(&old));
        assert_eq!(get(&store, 2).await, None);
        for n in [1, 2] {
            let shard = folder.join("sessions/records").join(format!("{:02x}", key(n).as_bytes()[0]));
            assert!(!shard.join("new").exists(), "half a session takes no room");
        }
        assert_eq!(store.save(&now(), &key(1), old.version, &record(b"small")).await.unwrap(), Outcome::Done);
    }

    #[test]
    fn a_write_that_ends_in_its_middle_is_an_outage_and_leaves_the_old_session() {
        play("large", &TestFolder::new(), "trap '' XFSZ; ulimit -f 200; ");
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let dir = TestFolder::new();
        if fs::metadata(dir.directory.path()).unwrap().uid() != 0 {
            // Only root can change the owner of a folder, so this uses a folder that root owns.
            let error = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(FileStore::builder("/").namespace("usr").open())
                .unwrap_err();
            return assert_eq!(error.kind(), ErrorKind::Config);
        }
        fs::create_dir_all(dir.root()).unwrap();
        allow(&dir.root(), 0o755);
        play("foreign", &dir, "");
        // Root, who may write there regardless, is refused too.
        chown(dir.root(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        let opened =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(dir.builder().open());
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("belongs to another user"), "{error}");
    }
}
