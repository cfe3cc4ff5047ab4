//! A client that keeps its cookie as browsers do.

use std::collections::BTreeMap;

use ureq::Agent;
use ureq::http::{Request, Response};

/// A browser with one cookie, which follows no redirect by itself.
#[derive(Clone)]
pub(crate) struct Browser {
    agent: Agent,
    base: String,
    /// Value of the cookie `id`.
    pub(crate) cookie: Option<String>,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.first().map(String::as_str)
    }

    /// Returns the values of `Set-Cookie`.
    pub(crate) fn cookies(&self) -> &[String] {
        self.headers.get("set-cookie").map_or(&[], Vec::as_slice)
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl Browser {
    pub(crate) fn new(base: &str) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).user_agent(FIREFOX).build();
        Self { agent: agent.into(), base: base.into(), cookie: None }
    }

    pub(crate) fn with_cookie(base: &str, cookie: &str) -> Self {
        Self { cookie: Some(cookie.into()), ..Self::new(base) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body)
    }

    pub(crate) fn delete(&mut self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "")
    }

    /// Sends a form as the site's own page does, and returns the page that the answer redirects to.
    pub(crate) fn submit(&mut self, path: &str, form: &str) -> Answer {
        let answer = self.send("POST", path, &FORM, form).expect(303);
        let to = answer.header("location").unwrap().split('#').next().unwrap().to_owned();
        self.get(&to).expect(200)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("id={cookie}"));
        }
        let response = if body.is_empty() && method != "POST" {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        let answer = read(response.unwrap());
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.cookies() {
            let value = line.strip_prefix("id=").expect("the cookie is called id").split(';').next().unwrap();
            self.cookie = (!line.contains("; Max-Age=0")).then(|| value.to_owned());
        }
    }
}

fn read(mut response: Response<ureq::Body>) -> Answer {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in response.headers() {
        headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    let status = response.status().as_u16();
    Answer { status, headers, body: response.body_mut().read_to_string().unwrap() }
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Headers that a browser sends with a form of the same site.
pub(crate) const FORM: [(&str, &str); 2] =
    [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
