//! Tab of the browser.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::connection::Connection;

/// The browser's error of a request that was under way while the machine's network changed.
const NETWORK_CHANGED: &str = "net::ERR_NETWORK_CHANGED";

/// Tab of the browser.
#[derive(Debug)]
pub struct Tab {
    connection: Rc<Connection>,
    /// Name of the tab in messages.
    session: String,
}

/// How a page came into its tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The page was made from a response, which may have come from a cache.
    Loaded,
    /// The page is the one that was left, taken from the back/forward cache with its scripts and its scroll position.
    Restored,
}

impl Tab {
    pub(crate) fn new(connection: Rc<Connection>, session: String) -> Self {
        let tab = Self { connection, session };
        for domain in ["Page", "Runtime", "Network"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        tab.call("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }));
        tab
    }

    /// Calls a method of the protocol in this tab, and returns its result.
    ///
    /// # Panics
    /// If the browser refuses the call.
    #[track_caller]
    pub fn call(&self, method: &str, parameters: &Value) -> Value {
        self.connection.call(Some(&self.session), method, parameters).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens an address, as by the address bar.
    ///
    /// # Panics
    /// If nothing can be loaded from there.
    #[track_caller]
    pub fn open(&self, url: &str) -> Arrival {
        self.arrive(&format!("opening {url}"), || {
            let mut answer = self.call("Page.navigate", &json!({ "url": url }));
            // Another test's container has started or ended, which changes the machine's network, so the browser has ended its requests.
            for _ in 0..10 {
                if answer["errorText"] != NETWORK_CHANGED {
                    break;
                }
                self.event("a change of the network", "Page.frameNavigated", |event| {
                    event["frame"]["unreachableUrl"].is_string().then_some(())
                });
                self.connection.forget(&self.session);
                answer = self.call("Page.navigate", &json!({ "url": url }));
            }
            assert!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        })
    }

    /// Clicks on the first element that `selector` finds, and waits for the page that this leads to.
    ///
    /// # Panics
    /// If there is no such element, or if it leads nowhere.
    #[track_caller]
    pub fn follow(&self, selector: &str) -> Arrival {
        self.arrive(&format!("a click on {selector}"), || self.click(selector))
    }

    /// Clicks on the first element that `selector` finds.
    ///
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.evaluate(&format!("{}.click()", self.element(selector)));
    }

    /// Types `text` into the field that `selector` finds.
    ///
    /// # Panics
    /// If there is no such field.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.evaluate(&format!("{}.focus()", self.element(selector)));
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses the reload button.
    ///
    /// # Panics
    /// If nothing can be loaded.
    #[track_caller]
    pub fn reload(&self) -> Arrival {
        self.arrive("a reload", || drop(self.call("Page.reload", &json!({}))))
    }

    /// Presses the back button.
    ///
    /// # Panics
    /// If there is no page before this one.
    #[track_caller]
    pub fn back(&self) -> Arrival {
        let history = self.call("Page.getNavigationHistory", &json!({}));
        let before = history["currentIndex"].as_u64().and_then(|now| usize::try_from(now).ok()?.checked_sub(1));
        let entry = before.map_or(Value::Null, |before| history["entries"][before]["id"].clone());
        assert!(!entry.is_null(), "there is no page before {}", self.url());
        self.arrive("the back button", || drop(self.call("Page.navigateToHistoryEntry", &json!({ "entryId": entry }))))
    }

    /// Waits until the page has loaded that the last [`click`](Self::click) leads to.
    ///
    /// # Panics
    /// If it leads nowhere.
    #[track_caller]
    pub fn arrived(&self) -> Arrival {
        self.arrive("a click", || ())
    }

    /// Runs `act`, and waits until the page that it leads to has loaded.
    #[track_caller]
    fn arrive(&self, what: &str, act: impl FnOnce()) -> Arrival {
        act();
        // Frames inside the page have a parent.
        let frame = self.event(what, "Page.frameNavigated", |event| {
            event["frame"]["parentId"].is_null().then(|| (event["frame"].clone(), event["type"].clone()))
        });
        let (frame, kind) = frame;
        if kind == "BackForwardCacheRestore" {
            self.connection.forget(&self.session);
            return Arrival::Restored;
        }
        assert!(frame["unreachableUrl"].is_null(), "{what}: {} cannot be loaded", frame["unreachableUrl"]);
        self.event(what, "Page.lifecycleEvent", |event| {
            (event["name"] == "load" && event["loaderId"] == frame["loaderId"]).then_some(())
        });
        self.connection.forget(&self.session);
        Arrival::Loaded
    }

    /// Waits for an event `method` of this tab for whose parameters `pick` returns something. `what` is its cause, for the error.
    ///
    /// # Panics
    /// If there is no such event in time.
    #[track_caller]
    pub fn event<T>(&self, what: &str, method: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        let found =
            self.connection.take(
                |session, name, parameters| {
                    if session == self.session && name == method { pick(parameters) } else { None }
                },
            );
        found.unwrap_or_else(|error| panic!("{what}, {method}: {error}\n{}", self.describe()))
    }

    /// Evaluates an expression in the page and returns its value. A promise is waited for.
    ///
    /// # Panics
    /// If the expression throws.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}\n{}", self.describe()))
    }

    /// Fetches an address from inside the page, with its cookies, and returns the text of the answer.
    ///
    /// Returns `None` if the machine's network changed meanwhile, as when another test's container starts or ends. The browser then ends
    /// its requests, which may have reached their servers.
    ///
    /// # Panics
    /// If the request fails for another reason.
    #[track_caller]
    pub fn fetch(&self, url: &str) -> Option<String> {
        let url = Value::from(url);
        let expression = format!("fetch({url}, {{ credentials: 'include' }}).then((answer) => answer.text())");
        match self.try_evaluate(&expression) {
            Ok(text) => text.as_str().map(str::to_owned),
            Err(error) => {
                self.event(&format!("{expression}: {error}"), "Network.loadingFailed", |event| {
                    (event["errorText"] == NETWORK_CHANGED).then_some(())
                });
                None
            }
        }
    }

    fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        // Clicks count as the user's.
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let mut answer = self.connection.call(Some(&self.session), "Runtime.evaluate", &parameters)?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            exception => Err(exception.to_string()),
        }
    }

    /// Returns an expression for the first element that `selector` finds.
    #[track_caller]
    fn element(&self, selector: &str) -> String {
        assert!(self.has(selector), "there is no {selector}\n{}", self.describe());
        format!("document.querySelector({})", Value::from(selector))
    }

    /// Whether the page has an element that `selector` finds.
    #[track_caller]
    pub fn has(&self, selector: &str) -> bool {
        self.evaluate(&format!("document.querySelector({}) !== null", Value::from(selector))) == true
    }

    /// Returns the visible text of the page.
    #[track_caller]
    pub fn text(&self) -> String {
        self.string("document.body.innerText")
    }

    /// Returns the HTML of the page.
    #[track_caller]
    pub fn html(&self) -> String {
        self.string("document.documentElement.outerHTML")
    }

    /// Returns the address of the page.
    #[track_caller]
    pub fn url(&self) -> String {
        self.string("location.href")
    }

    #[track_caller]
    fn string(&self, expression: &str) -> String {
        self.evaluate(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Address and HTML of the page, for an error.
    fn describe(&self) -> String {
        match self.try_evaluate("location.href + '\\n' + document.documentElement.outerHTML") {
            Ok(page) => page.as_str().unwrap_or_default().to_owned(),
            Err(error) => format!("the page cannot be shown: {error}"),
        }
    }
}
