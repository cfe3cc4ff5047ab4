//! Process of the browser.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::PATIENCE;

/// Names of the program, the first of which is Debian's.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Flags that every test needs.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    // Root, and most containers, cannot have the sandbox. Only pages of tests are shown.
    "--no-sandbox",
    // A container's /dev/shm is often too small.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    // Nothing is asked, and no key store of a desktop is used.
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--disable-breakpad",
    // No requests but those of the pages.
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
];

/// The running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the program, and returns the pipes to it and from it.
    pub(crate) fn start(profile: &Path, flags: &[&str]) -> (Self, ChildStdin, ChildStdout) {
        let program = program();
        fs::create_dir_all(profile).unwrap_or_else(|error| panic!("{}: {error}", profile.display()));
        let log = profile.join("chromium.log");
        let errors = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut command = Command::new("sh");
        // The browser reads calls from descriptor 3 and writes answers to descriptor 4. A shell passes them on without unsafe code.
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >&2", "sh"]).arg(&program);
        command.args(FLAGS).args(flags).arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else { unreachable!("both are pipes") };
        (Self { child, log }, to, from)
    }

    /// Returns what the program has written to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the program has ended. Returns `None` if it does not end in time.
    pub(crate) fn wait(&mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            // Polls, because no event tells when a process has ended.
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Process {
    /// The browser has been told to end. One that hangs is killed.
    fn drop(&mut self) {
        if self.wait().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns the browser's program.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("CHROMIUM") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES
        .iter()
        .find_map(|name| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()));
    found.unwrap_or_else(|| {
        panic!(
            "Chromium is not installed, and this test needs a browser: install it (`apt-get install chromium`), \
             or name its program in the variable CHROMIUM"
        )
    })
}
