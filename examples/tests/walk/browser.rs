//! Client that keeps cookies as a browser does, and servers for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use ureq::Agent;
use ureq::http::request::Builder;
use ureq::http::{Request, Response};

/// Serves `app` on a free port while the test runs. The app is made on the server's own runtime.
pub(crate) fn serve(app: impl Future<Output = Router> + Send + 'static) -> String {
    serve_at(|_| app)
}

/// Serves an app that has to know the base of its own URLs.
pub(crate) fn serve_at<F: Future<Output = Router>>(app: impl FnOnce(String) -> F + Send + 'static) -> String {
    let (started, address) = mpsc::channel();
    std::thread::spawn(move || {
        Runtime::new().unwrap().block_on(async {
            let (listener, base) = bind().await;
            started.send(base.clone()).unwrap();
            axum::serve(listener, app(base).await).await.unwrap();
        });
    });
    address.recv().unwrap()
}

/// Binds a free port, and returns the base of its URLs as well.
pub(crate) async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

/// A browser with its cookies. It does not follow redirects.
#[derive(Clone)]
pub(crate) struct Browser {
    agent: Agent,
    base: String,
    /// Cookies by name. Browsers accept `Secure` cookies from `localhost` without TLS, and so does this client.
    pub(crate) cookies: BTreeMap<String, String>,
    /// Names of the cookies that go to this site with forms of other sites, too (`SameSite=None`).
    for_other_sites: BTreeSet<String>,
    /// Bearer token of a program that is no browser, from the last response that had one.
    token: Option<String>,
}

/// Response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) content_type: String,
    pub(crate) cache_control: String,
    /// Lines of `Set-Cookie`.
    pub(crate) set_cookie: Vec<String>,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(base: &str) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).max_redirects(0);
        Self {
            agent: agent.user_agent("Mozilla/5.0 Firefox/140.0").build().into(),
            base: base.into(),
            cookies: BTreeMap::new(),
            for_other_sites: BTreeSet::new(),
            token: None,
        }
    }

    pub(crate) fn with_cookie(base: &str, name: &str, value: &str) -> Self {
        let mut browser = Self::new(base);
        browser.cookies.insert(name.into(), value.into());
        browser
    }

    /// Returns the same browser with the same cookies, before another server.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.into(), ..self.clone() }
    }

    /// Returns the id in the default cookie.
    pub(crate) fn id(&self) -> &str {
        &self.cookies["__Host-id"]
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).body(()).unwrap();
        let response = self.agent.run(request).unwrap();
        self.read(response)
    }

    /// Returns the first bytes of a response that has no end.
    pub(crate) fn begins<const N: usize>(&self, path: &str) -> [u8; N] {
        let request = self.request("GET", path).body(()).unwrap();
        let mut first = [0; N];
        self.agent.run(request).unwrap().body_mut().as_reader().read_exact(&mut first).unwrap();
        first
    }

    /// Sends a form.
    pub(crate) fn post(&mut self, path: &str, form: &str) -> Answer {
        self.post_from("same-origin", path, form)
    }

    /// Sends a form of a page of `site`, as browsers name it. With a form of another site go only cookies that are meant for it.
    pub(crate) fn post_from(&mut self, site: &str, path: &str, form: &str) -> Answer {
        let sent = |name: &str| site != "cross-site" || self.for_other_sites.contains(name);
        let request = self.request_with("POST", path, sent).header("sec-fetch-site", site);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = self.agent.run(request.body(form).unwrap()).unwrap();
        self.read(response)
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        self.request_with(method, path, |_| true)
    }

    /// Begins a request with the cookies whose names are `sent`.
    fn request_with(&self, method: &str, path: &str, sent: impl Fn(&str) -> bool) -> Builder {
        let request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header("accept", "text/html");
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let pairs = self.cookie_header(sent);
        if pairs.is_empty() { request } else { request.header("cookie", pairs) }
    }

    /// Returns the value of a `Cookie` header, with the cookies whose names are `sent`.
    pub(crate) fn cookie_header(&self, sent: impl Fn(&str) -> bool) -> String {
        let cookies = self.cookies.iter().filter(|(name, _)| sent(name));
        cookies.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn read(&mut self, mut response: Response<ureq::Body>) -> Answer {
        let body = response.body_mut().read_to_string().unwrap();
        let all = |name: &str| -> Vec<String> {
            response.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        let set_cookie = all("set-cookie");
        self.token = all("session-token").pop().or(self.token.take());
        for line in &set_cookie {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("; Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
                if line.contains("; SameSite=None") {
                    self.for_other_sites.insert(name.to_owned());
                }
            }
        }
        Answer {
            status: response.status().as_u16(),
            location: all("location").pop(),
            content_type: all("content-type").pop().unwrap_or_default(),
            cache_control: all("cache-control").pop().unwrap_or_default(),
            set_cookie,
            body,
        }
    }
}

impl Answer {
    /// Checks that this is a redirect to `path`.
    #[track_caller]
    pub(crate) fn leads_to(&self, path: &str) {
        assert_eq!((self.status, self.location.as_deref()), (303, Some(path)), "{self:?}");
    }

    /// Checks that this is a page with `text`.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        assert!(self.status == 200 && self.body.contains(text), "{text}: {self:?}");
    }
}
