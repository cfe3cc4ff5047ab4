//! The cookies of Chromium.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chromium::{Chromium, Tab};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lines::request::{Cause, Request};
use crate::lines::{Jar, Knowledge};
use crate::server::{SET, Server};

/// The cookies of Chromium, which sends them to a server of this test.
pub(crate) struct ChromiumJar {
    server: Server,
    // Dropped before its profile.
    chromium: Chromium,
    /// Pages of the site, by TLS and by plain HTTP.
    here: [Tab; 2],
    /// A page of another site.
    elsewhere: Tab,
    _profile: TempDir,
}

impl ChromiumJar {
    pub(crate) fn start() -> Self {
        let (server, profile) = (Server::start(), tempfile::tempdir().unwrap());
        allow_embedded(profile.path());
        let flags = ["--host-resolver-rules=MAP * 127.0.0.1", "--ignore-certificate-errors"];
        let chromium = Chromium::start(profile.path(), &flags);
        let [here, plain, elsewhere] = [(); 3].map(|()| chromium.tab());
        let jar = Self { server, chromium, here: [here, plain], elsewhere, _profile: profile };
        jar.here[0].open(&jar.address("https://shop.example.com/app/page"));
        jar.here[1].open(&jar.address("http://shop.example.com/app/page"));
        jar.leave();
        jar
    }

    /// Returns `url` with the server's port.
    fn address(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let port = self.server.ports[usize::from(scheme == "http")];
        format!("{scheme}://{host}:{port}/{path}")
    }

    /// Goes to the page of the other site.
    fn leave(&self) {
        self.elsewhere.open(&self.address("https://elsewhere.org/"));
    }

    /// Returns the tab whose page has the scheme of `url`, because a page of the other scheme is another site.
    fn here(&self, url: &str) -> &Tab {
        &self.here[usize::from(url.starts_with("http:"))]
    }

    fn fetch(&self, tab: &Tab, url: &str) -> String {
        let url = self.address(url);
        std::iter::repeat_with(|| tab.fetch(&url))
            .take(10)
            .flatten()
            .next()
            .expect("the machine's network keeps changing")
    }
}

impl Jar for ChromiumJar {
    fn knows(&self) -> Knowledge {
        Knowledge { hosts: true, sites: true, scripts: true, partitions: true, later: false }
    }

    fn clear(&mut self) {
        self.chromium.call("Storage.clearCookies", &json!({}));
    }

    fn receive(&mut self, url: &str, lines: &[String]) {
        let url = self.address(&url.replace("/page", SET));
        // A request that failed may have taken the lines with it.
        let received = (0..10).any(|_| {
            *self.server.lines.lock().unwrap() = lines.to_vec();
            self.here(&url).fetch(&url).is_some()
        });
        assert!(received, "the machine's network keeps changing");
        assert!(self.server.lines.lock().unwrap().is_empty());
    }

    fn sent(&mut self, request: &Request) -> Vec<String> {
        let header = match request.cause {
            Cause::Here => self.fetch(self.here(request.url), request.url),
            Cause::Embedded => self.fetch(&self.elsewhere, request.url),
            Cause::Script => self.here(request.url).evaluate("document.cookie").as_str().unwrap().to_owned(),
            Cause::Link => {
                let url = self.address(request.url);
                self.elsewhere.evaluate(&format!("document.body.innerHTML = `<a href='{url}'>x</a>`"));
                self.elsewhere.follow("a");
                let text = self.elsewhere.text();
                self.leave();
                text
            }
        };
        header.split("; ").filter(|pair| !pair.is_empty()).map(str::to_owned).collect()
    }

    fn lifetimes(&mut self) -> BTreeMap<String, Option<Duration>> {
        let all = self.chromium.call("Storage.getCookies", &json!({}));
        let left = |cookie: &Value| {
            let expires = cookie["expires"].as_f64().filter(|_| cookie["session"] == false)?;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(expires);
            Some(at.duration_since(SystemTime::now()).unwrap())
        };
        let all = all["cookies"].as_array().unwrap();
        all.iter().map(|cookie| (cookie["name"].as_str().unwrap().to_owned(), left(cookie))).collect()
    }
}

/// Lets pages of other sites send cookies, as Chromium does unless a user or a distribution has changed that.
fn allow_embedded(profile: &Path) {
    let settings = json!({ "profile": { "block_third_party_cookies": false, "cookie_controls_mode": 0 } });
    fs::create_dir_all(profile.join("Default")).unwrap();
    fs::write(profile.join("Default/Preferences"), settings.to_string()).unwrap();
}
