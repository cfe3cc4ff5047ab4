#![doc = include_str!("../README.md")]

mod connection;
mod process;
mod tab;

use std::path::Path;
use std::rc::Rc;

use connection::Connection;
use process::Process;
use serde_json::{Value, json};
pub use tab::{Arrival, Tab};

/// A running Chromium. It ends when this value is dropped.
#[derive(Debug)]
pub struct Chromium {
    connection: Rc<Connection>,
    process: Process,
}

impl Chromium {
    /// Starts Chromium with the folder `profile`, which is made if it is missing, and with `flags` besides those that every test needs.
    ///
    /// # Panics
    /// If Chromium is not installed or does not start.
    pub fn start(profile: &Path, flags: &[&str]) -> Self {
        let (process, to, from) = Process::start(profile, flags);
        let connection = Connection::new(to, from);
        let chromium = Self { connection: Rc::new(connection), process };
        // The first answer shows that the browser is up.
        if let Err(error) = chromium.connection.call(None, "Browser.getVersion", &json!({})) {
            panic!("Chromium does not start: {error}\n{}", chromium.process.log());
        }
        chromium
    }

    /// Opens an empty tab and brings it to the front.
    ///
    /// # Panics
    /// If the browser has crashed.
    pub fn tab(&self) -> Tab {
        self.tab_with(json!({ "url": "about:blank" }))
    }

    /// Opens an empty tab that shares no cookies with the other tabs, as in another browser.
    ///
    /// # Panics
    /// If the browser has crashed.
    pub fn tab_elsewhere(&self) -> Tab {
        let context = self.call("Target.createBrowserContext", &json!({}));
        self.tab_with(json!({ "url": "about:blank", "browserContextId": context["browserContextId"] }))
    }

    fn tab_with(&self, target: Value) -> Tab {
        let target = self.call("Target.createTarget", &target)["targetId"].clone();
        let attached = self.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        Tab::new(Rc::clone(&self.connection), attached["sessionId"].as_str().unwrap_or_default().to_owned())
    }

    /// Calls a method of the protocol that belongs to no tab, such as `Storage.getCookies`, and returns its result.
    ///
    /// # Panics
    /// If the browser refuses the call.
    #[track_caller]
    pub fn call(&self, method: &str, parameters: &Value) -> Value {
        self.connection.call(None, method, parameters).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Quits as a user does, which writes cookies to the profile, and waits for the end of the program.
    ///
    /// # Panics
    /// If the program does not end in time, or ends with an error.
    pub fn close(mut self) {
        self.call("Browser.close", &json!({}));
        match self.process.wait() {
            Some(status) if status.success() => {}
            status => panic!("Chromium did not end well: {status:?}\n{}", self.process.log()),
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Fails if the browser has ended already. If it hangs, it is killed.
        let _ = self.connection.call(None, "Browser.close", &json!({}));
    }
}
