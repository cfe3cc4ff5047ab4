//! Helpers for the tests of stores: the suite's clauses as a part of one test, other processes, outages, and a runtime without a
//! free thread.
//!
//! A test starts its own program again with [`start`]. The other process runs one test, which asks for its [`part`].
//! `store-sqlite/tests/processes.rs` is an example.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use session_core::{ErrorKind, Principal, Record, Result, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fixtures::{count, count_up, key, now, put_count, record_of};
use crate::{ClauseResult, Harness, Suite, clauses};

/// Topics of the clauses that depend on what a store's statements mean, not on faults, time or the session model.
pub const STATEMENTS: &[&str] = &[
    "create",
    "load",
    "save",
    "touch",
    "delete",
    "purge",
    "expiry",
    "principal",
    "scan",
    "namespace",
    "limits",
    "open",
];

/// Number of clauses that [`clauses_hold`] runs at the same time.
const AT_ONCE: usize = 4;

const PART: &str = "SESSION_TEST_PART";
const PATH: &str = "SESSION_TEST_PATH";

/// Tasks of each process that counts, and increments of each task.
const TASKS: u32 = 4;
const INCREMENTS: u32 = 50;
const EACH: u64 = (TASKS * INCREMENTS) as u64;

/// Checks that a mistake of an operator is an error of this kind when the store is opened. Its text must hold all of `parts`, and
/// neither its text nor its sources may show a word of `hidden`.
///
/// ```
/// use session_conformance::testing::check_refusal;
/// use session_core::{Error, ErrorKind, Result};
///
/// let opened: Result<()> = Err(Error::fixed(ErrorKind::Config, "timeout must be 1 to 3600000"));
/// check_refusal(opened, ErrorKind::Config, &["timeout must be"], &["hunter2"]);
/// ```
///
/// # Panics
/// If the store was opened, or the error is another one.
pub fn check_refusal<S>(opened: Result<S>, kind: ErrorKind, parts: &[&str], hidden: &[&str]) {
    let Err(error) = opened else { panic!("the store was opened in spite of a mistake: {parts:?}") };
    let all = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{parts:?}: {all}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part}: {all}");
    }
    for word in hidden {
        assert!(!all.contains(word), "{word} is shown: {all}");
    }
}

/// Returns the first code block in `language` of a Markdown page's section `heading`, so that a test runs what the page says.
///
/// ```
/// use session_conformance::testing::block_of;
///
/// let page = "# A store\n\n## Least rights\n\nRun:\n\n```sql\ngrant select on t to shop;\n```\n";
/// assert_eq!(block_of(page, "Least rights", "sql"), "grant select on t to shop;\n");
/// ```
///
/// # Panics
/// If the page has no such section, or the section no such block.
pub fn block_of<'p>(page: &'p str, heading: &str, language: &str) -> &'p str {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (_, block) = section.split_once(&format!("```{language}\n")).expect("a block in the language");
    block.split_once("```").expect("the end of the block").0
}

/// Runs the clauses of these topics over a store in unusual surroundings, such as a server with other settings. A topic is a
/// clause's name up to its dot. [`run`](crate::run) runs the whole suite as a test program instead.
///
/// ```
/// # use std::sync::Arc;
/// #
/// # use session_conformance::{Harness, Subject};
/// # use session_core::{Result, Store, async_trait};
/// # use session_store_memory::MemoryStore;
/// #
/// # struct Memory;
/// #
/// # #[async_trait]
/// # impl Harness for Memory {
/// #     async fn subject(&self) -> Result<Subject> {
/// #         Ok(Subject::new("session-store-memory", "0.1.0").without_namespaces())
/// #     }
/// #
/// #     async fn open(&self, _namespace: &str) -> Result<Arc<dyn Store>> {
/// #         Ok(Arc::new(MemoryStore::new()))
/// #     }
/// # }
/// # #[tokio::main(flavor = "multi_thread", worker_threads = 2)] async fn main() {
/// session_conformance::testing::clauses_hold(Memory, &["scan"], "in memory").await;
/// # }
/// ```
///
/// # Panics
/// If a clause fails, with `when` in the message, or if there is no clause of one of the topics. Also outside a multi-threaded
/// tokio runtime.
pub async fn clauses_hold(harness: impl Harness, topics: &[&str], when: &str) {
    let (suite, free) = (Arc::new(Suite::new(harness)), Arc::new(Semaphore::new(AT_ONCE)));
    let mut running = JoinSet::new();
    for topic in topics {
        let before = running.len();
        for clause in clauses().filter(|clause| clause.name.split('.').next() == Some(topic)) {
            let (suite, free) = (Arc::clone(&suite), Arc::clone(&free));
            running.spawn(async move {
                let _turn = free.acquire().await;
                suite.check(clause).await
            });
        }
        assert!(running.len() > before, "there is no clause of the topic {topic}");
    }
    let failed = running.join_all().await.into_iter().filter_map(|finding| match finding.result {
        ClauseResult::Failed(why) => Some(format!("{}: {why}", finding.clause)),
        _ => None,
    });
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{when}: {} clauses fail:\n{}", failed.len(), failed.join("\n"));
}

/// Starts this test program again in another process, which runs only `test`. There, [`part`] returns `part` and `path`.
///
/// # Panics
/// If the process cannot be started.
pub fn start(test: &str, part: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["--exact", test, "--nocapture"]).env(PART, part).env(PATH, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("another process")
}

/// Returns the part and the path that [`start`] was called with, or `None` if this process runs the whole test program.
pub fn part() -> Option<(String, PathBuf)> {
    Some((std::env::var(PART).ok()?, std::env::var_os(PATH)?.into()))
}

/// User without rights, as whom [`run_unprivileged`] runs a test when this process is root's.
#[cfg(unix)]
pub const UNPRIVILEGED: u32 = 65534;

/// Whether this process belongs to root, whom permissions do not restrict and who can give files to other users.
///
/// `made` is a file or directory that this process has made.
///
/// # Panics
/// If it cannot be examined.
#[cfg(unix)]
pub fn is_root(made: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(made).expect("a file").uid() == 0
}

/// Runs this test program again in another process, with only `test`, as [`part`] `part` in `directory`, and waits for its success.
///
/// If this process is root's, the other one is [`UNPRIVILEGED`], and so is the directory's new owner. `shell` is run before, for example `umask 0; `.
///
/// # Panics
/// If the process cannot be started or the test fails.
#[cfg(unix)]
pub fn run_unprivileged(test: &str, part: &str, directory: &Path, shell: &str) {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    let program = directory.join("program");
    std::fs::copy(std::env::current_exe().expect("the path of this program"), &program).expect("a copy");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{shell}exec \"$0\" --exact {test} --nocapture")).arg(&program);
    command.env(PART, part).env(PATH, directory).env("RUST_BACKTRACE", "0").current_dir("/");
    // The copy's owner, because the directory's may have changed in an earlier run.
    if is_root(&program) {
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        chown(directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("a new owner");
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    let output = command.output().expect("another process");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    std::fs::remove_file(program).expect("the copy");
}

/// Runs the statement of a README's section "Least rights" that makes a folder `/var/lib/shop` for a user `shop`, and then `test` in a
/// process of that user, as by [`run_unprivileged`]. Here the folder is `directory/shop`, and the user is [`UNPRIVILEGED`].
///
/// Only root can give a folder to another user. In a process of another user nothing is run, and a line says so.
///
/// # Panics
/// If there is no such statement, or it or the test fails.
#[cfg(unix)]
pub fn run_in_the_readmes_folder(page: &str, test: &str, part: &str, directory: &Path) {
    let statement = block_of(page, "Least rights", "sh");
    assert!(statement.contains("-o shop -g shop") && statement.contains("/var/lib/shop"), "{statement}");
    if !is_root(directory) {
        eprintln!("this test needs root, who alone can give a folder to another user");
        return;
    }
    let folder = directory.join("shop");
    let statement = statement
        .replace("-o shop -g shop", &format!("-o {UNPRIVILEGED} -g {UNPRIVILEGED}"))
        .replace("/var/lib/shop", folder.to_str().expect("a path in UTF-8"));
    let status = Command::new("sh").args(["-ec", &statement]).status().expect("a shell");
    assert!(status.success() && folder.is_dir(), "{statement}");
    run_unprivileged(test, part, directory, "");
}

/// Checks that this process and two others, each of which must call [`count_up_as_part`], lose no update of one another.
///
/// # Panics
/// If an update is lost, or a process or the store fails.
pub async fn count_among_processes(store: &(impl Store + Clone), start: impl Fn() -> Child) {
    put_count(store).await;
    let others = [start(), start()];
    count_up_as_part(store).await;
    for other in others {
        let output = other.wait_with_output().expect("the output of a process");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(count(store).await, 3 * EACH);
}

/// Counts up as one of the processes of [`count_among_processes`].
///
/// # Panics
/// If the store fails.
pub async fn count_up_as_part(store: &(impl Store + Clone)) {
    count_up(store, TASKS, INCREMENTS).await;
}

/// Checks that two instances of a store in one process lose no update of one another, and that the second one outlives the first.
///
/// # Panics
/// If an update is lost, or the store fails.
pub async fn count_among_instances<S: Store + Clone>(one: S, two: S) {
    put_count(&one).await;
    tokio::join!(count_up(&one, TASKS, INCREMENTS), count_up(&two, TASKS, INCREMENTS));
    assert_eq!(count(&one).await, 2 * EACH);
    drop(one);
    count_up(&two, 1, 1).await;
    assert_eq!(count(&two).await, 2 * EACH + 1);
}

/// Checks that each call to a store with an outage is an error of the kind `Unavailable`. `known` is stored under `key(1)`.
///
/// # Panics
/// If a call succeeds or has another error.
pub async fn all_unavailable(store: &dyn Store, known: &Record) {
    let (call, k, fresh, ann) = (now(), key(1), record_of("ann"), Principal::new("ann").expect("a principal"));
    let errors = [
        store.load(&call, &k).await.map(drop),
        store.create(&call, &key(9), &fresh).await.map(drop),
        store.save(&call, &k, known.version, &fresh).await.map(drop),
        store.touch(&call, &k, known.version, call.now).await.map(drop),
        store.delete(&call, &k, None).await.map(drop),
        store.purge(&call, NonZeroU32::MAX).await.map(drop),
        store.sessions_of(&call, &ann, NonZeroU32::MAX).await.map(drop),
        store.delete_all(&call, &ann, None).await.map(drop),
        store.scan(&call, None, NonZeroU32::MAX).await.map(drop),
    ];
    for (nth, answer) in errors.into_iter().enumerate() {
        let error = answer.expect_err("an outage is an error");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "call {nth}: {error}");
    }
}

/// Runs `future` on a runtime whose only blocking thread is busy.
///
/// # Panics
/// If the runtime cannot be started.
pub fn without_a_free_thread<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().max_blocking_threads(1).build().expect("a runtime");
    let (free, busy) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || busy.recv());
    let output = runtime.block_on(future);
    drop(free);
    output
}
