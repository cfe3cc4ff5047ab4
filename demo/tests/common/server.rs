//! Starts the program as a process, and stops it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time limit for a process, longer than anything here takes, so that a hang fails the test.
const LONGEST: Duration = Duration::from_secs(60);

/// A running process of the program.
pub(crate) struct Server {
    child: Child,
    /// Base URL, `http://127.0.0.1:PORT`.
    pub(crate) base: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, None)
    }

    /// Starts the program with these keys in `SESSION_SECRET`.
    pub(crate) fn start_with(arguments: &[&str], keys: Option<&str>) -> Self {
        Self::spawn(command(arguments, keys))
    }

    /// Starts the shop as it was one release ago.
    pub(crate) fn start_before(arguments: &[&str]) -> Self {
        Self::spawn(command_of(env!("CARGO_BIN_EXE_demo-before"), arguments, None))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = listen(child.stderr.take().unwrap());
        let Some(base) = address(child.stdout.take().unwrap()) else {
            let status = child.wait();
            panic!("the server did not start: {status:?}\n{}", log.join().unwrap());
        };
        Self { child, base, log: Some(log) }
    }

    /// Returns the address, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    /// Stops the program as a service manager does, and returns its log.
    pub(crate) fn stop(self) -> String {
        self.tell_to_stop();
        let log = self.wait();
        assert!(!log.to_lowercase().contains("database is locked"), "{log}");
        log
    }

    pub(crate) fn tell_to_stop(&self) {
        let pid = self.child.id();
        // The shell's own `kill`, because it needs no package.
        let told = Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().unwrap();
        assert!(told.success());
    }

    /// Waits until the program has ended, and returns its log.
    pub(crate) fn wait(mut self) -> String {
        let status = within(self.child.wait_in_time());
        let log = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "ended by {status}\n{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process has stopped already, except after a failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str], keys: Option<&str>) -> Command {
    command_of(env!("CARGO_BIN_EXE_demo"), arguments, keys)
}

fn command_of(program: &str, arguments: &[&str], keys: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("SESSION_STORE").env_remove("SESSION_SECRET").env("RUST_LOG", "info");
    command.envs(keys.map(|keys| ("SESSION_SECRET", keys)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program until it ends, and returns its status and its output on stderr.
pub(crate) fn run(arguments: &[&str]) -> (ExitStatus, String) {
    run_with(arguments, None)
}

/// Like [`run`], with these keys in `SESSION_SECRET`.
pub(crate) fn run_with(arguments: &[&str], keys: Option<&str>) -> (ExitStatus, String) {
    let mut child = command(arguments, keys).spawn().unwrap();
    let log = listen(child.stderr.take().unwrap());
    let status = within(child.wait_in_time());
    (status, log.join().unwrap())
}

/// Collects stderr until it ends.
fn listen(mut stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    })
}

/// Reads the address from the line on stdout; `None` if the program ends without it.
fn address(stdout: ChildStdout) -> Option<String> {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    Some(line.trim_end().strip_prefix("listening on ")?.to_owned())
}

trait WaitInTime {
    fn wait_in_time(&mut self) -> Option<ExitStatus>;
}

impl WaitInTime for Child {
    /// Waits for the process. If it does not end in time, kills it and returns `None`.
    fn wait_in_time(&mut self) -> Option<ExitStatus> {
        let (ended, heard) = channel();
        std::thread::scope(|scope| {
            let pid = self.id();
            scope.spawn(move || {
                if heard.recv_timeout(LONGEST).is_err() {
                    let _ = Command::new("sh").arg("-c").arg(format!("kill -KILL {pid}")).status();
                    return false;
                }
                true
            });
            let status = self.wait().unwrap();
            // Not received if the process was killed; then its status has no code.
            let _ = ended.send(());
            status.code().is_some().then_some(status)
        })
    }
}

fn within(ended: Option<ExitStatus>) -> ExitStatus {
    ended.expect("the program ends by itself, within a minute")
}
