//! The jar of the npm package `tough-cookie`, in a process of Node.js.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lines::request::{Cause, Request};
use crate::lines::{Jar, Knowledge};

/// The jar of the npm package `tough-cookie`.
pub(crate) struct ToughCookieJar {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl ToughCookieJar {
    pub(crate) fn start() -> Self {
        let script = INSTALLED.join("jar.mjs");
        let mut command = Command::new("node");
        let command = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{NEEDS_NODE}: node: {error}"));
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    /// Sends a question and returns the answer, both as one line of JSON.
    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.to, "{question}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{question}: {answer}: {error}"))
    }
}

impl Drop for ToughCookieJar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Jar for ToughCookieJar {
    fn knows(&self) -> Knowledge {
        Knowledge { hosts: false, sites: true, scripts: true, partitions: false, later: true }
    }

    fn clear(&mut self) {
        self.ask(&json!({ "clear": true }));
    }

    fn receive(&mut self, url: &str, lines: &[String]) {
        let refused = self.ask(&json!({ "receive": lines, "url": url }));
        assert_eq!(refused, json!([]));
    }

    fn sent(&mut self, request: &Request) -> Vec<String> {
        let site = match request.cause {
            Cause::Here | Cause::Script => "strict",
            Cause::Link => "lax",
            Cause::Embedded => "none",
        };
        let after = u64::try_from(request.after.as_millis()).unwrap();
        let script = request.cause == Cause::Script;
        let sent = self.ask(&json!({ "sent": request.url, "site": site, "script": script, "after": after }));
        sent.as_array().unwrap().iter().map(|pair| pair.as_str().unwrap().to_owned()).collect()
    }

    fn lifetimes(&mut self) -> BTreeMap<String, Option<Duration>> {
        let left = self.ask(&json!({ "lifetimes": true }));
        left.as_object()
            .unwrap()
            .iter()
            .map(|(name, left)| (name.clone(), left.as_u64().map(Duration::from_millis)))
            .collect()
    }
}

const NEEDS_NODE: &str = "this test asks a cookie jar from npm, so it needs Node.js 18 or later with npm: \
                          install it (`apt-get install nodejs npm`)";

/// Files that make the jar's program.
const FILES: [&str; 4] = [".npmrc", "package.json", "package-lock.json", "jar.mjs"];

/// Folder with the program and its packages.
static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jars/npm");
    // Outside of the sources, whose checks read all files.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tough-cookie");
    fs::create_dir_all(&folder).unwrap();
    for file in FILES {
        fs::copy(sources.join(file), folder.join(file)).unwrap();
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(&folder);
    let ended = install.output().unwrap_or_else(|error| panic!("{NEEDS_NODE}: npm: {error}"));
    assert!(ended.status.success(), "npm ci fails: {}", String::from_utf8_lossy(&ended.stderr));
    folder
});
