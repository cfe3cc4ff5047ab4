//! Whether a jar reads each line as it is meant.

use std::collections::BTreeSet;

use super::app::{App, pair};
use super::cookie::Cookie;
use super::request::{Cause, Request, SETTER};
use super::{Jar, Knowledge};

/// Number of cookies in the jar at once. Chromium keeps 180 for a domain and those below it.
const AT_ONCE: usize = 100;

/// A cookie, and the lines that set and clear it.
struct Lines {
    cookie: Cookie,
    issue: String,
    clear: Vec<String>,
}

impl Lines {
    fn of(cookie: &Cookie) -> Self {
        let app = App::new(cookie.options());
        let issue = app.issue(1);
        let clear = app.answer(&Request::AT_SETTER, pair(&issue), session_core::Session::logout);
        Self { cookie: cookie.clone(), issue, clear }
    }
}

/// Checks which cookies the jar sends with which request, and for how long, before and after some of them are cleared.
pub(crate) fn is_read(jar: &mut dyn Jar) {
    let all = Cookie::all();
    assert!(all.len() > 500, "{}", all.len());
    let mut wrong = Vec::new();
    for batch in all.chunks(AT_ONCE) {
        jar.clear();
        let mut lines: Vec<_> = batch.iter().map(Lines::of).collect();
        give(jar, &lines, |lines| std::slice::from_ref(&lines.issue));
        compare(jar, &lines, "", &mut wrong);
        let lifetimes = jar.lifetimes();
        for Lines { cookie, issue, .. } in &lines {
            let (found, meant) = (lifetimes[&cookie.name()], cookie.lifetime);
            let close = match (found, meant) {
                (Some(found), Some(meant)) => found.abs_diff(meant).as_secs() < 60,
                (found, meant) => found == meant,
            };
            if !close {
                wrong.push(format!("{issue}: lives for {found:?}"));
            }
        }
        // Every other cookie is cleared.
        let cleared: Vec<_> = (0..lines.len()).step_by(2).rev().map(|at| lines.remove(at)).collect();
        give(jar, &cleared, |lines| &lines.clear);
        compare(jar, &lines, ", after others were cleared", &mut wrong);
        give(jar, &lines, |lines| &lines.clear);
        compare(jar, &[], ", after all were cleared", &mut wrong);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// Lets the jar receive lines, those of insecure cookies by plain HTTP.
fn give<'l>(jar: &mut dyn Jar, all: &'l [Lines], lines: impl Fn(&'l Lines) -> &'l [String]) {
    for (scheme, secure) in [("https:", true), ("http:", false)] {
        let of_scheme = all.iter().filter(|lines| lines.cookie.secure == secure);
        let lines: Vec<String> = of_scheme.flat_map(&lines).cloned().collect();
        jar.receive(&format!("{scheme}{SETTER}"), &lines);
    }
}

/// Compares what the jar sends with what it should, if it holds `all` and nothing else.
fn compare(jar: &mut dyn Jar, all: &[Lines], when: &str, wrong: &mut Vec<String>) {
    let knows = jar.knows();
    for request in Request::ALL.iter().filter(|request| can_answer(knows, request)) {
        let sent: BTreeSet<String> = jar.sent(request).into_iter().collect();
        let meant = all.iter().filter(|lines| lines.cookie.is_sent(request, knows));
        let meant: BTreeSet<String> = meant.map(|lines| pair(&lines.issue).to_owned()).collect();
        for pair in sent.symmetric_difference(&meant) {
            let line = all.iter().map(|lines| &lines.issue).find(|line| line.starts_with(pair)).unwrap_or(pair);
            let what = if sent.contains(pair) { "is sent" } else { "is not sent" };
            wrong.push(format!("{line}: {what} with {request:?}{when}"));
        }
    }
}

fn can_answer(knows: Knowledge, request: &Request) -> bool {
    (knows.later || request.after.is_zero())
        && match request.cause {
            Cause::Here => true,
            Cause::Link | Cause::Embedded => knows.sites,
            Cause::Script => knows.scripts,
        }
}
