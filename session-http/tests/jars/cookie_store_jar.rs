//! The jar of the crate `cookie_store`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cookie_store::{CookieExpiration, CookieStore};
use url::Url;

use crate::lines::request::Request;
use crate::lines::{Jar, Knowledge};

/// The jar of the crate `cookie_store`. It has no clock of its own, and stores `SameSite` without using it.
#[derive(Default)]
pub(crate) struct CookieStoreJar(CookieStore);

impl Jar for CookieStoreJar {
    fn knows(&self) -> Knowledge {
        Knowledge { hosts: false, sites: false, scripts: false, partitions: false, later: false }
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn receive(&mut self, url: &str, lines: &[String]) {
        let url = Url::parse(url).unwrap();
        for line in lines {
            let taken = self.0.parse(line, &url);
            // It reports a line that clears a cookie which is not there as an expired one.
            assert!(taken.is_ok() || line.contains("; Max-Age=0"), "{line}: {taken:?}");
        }
    }

    fn sent(&mut self, request: &Request) -> Vec<String> {
        let url = Url::parse(request.url).unwrap();
        self.0.get_request_values(&url).map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn lifetimes(&mut self) -> BTreeMap<String, Option<Duration>> {
        let left = |expires: &CookieExpiration| match expires {
            CookieExpiration::AtUtc(at) => Some(SystemTime::from(*at).duration_since(SystemTime::now()).unwrap()),
            CookieExpiration::SessionEnd => None,
        };
        self.0.iter_unexpired().map(|cookie| (cookie.name().to_owned(), left(&cookie.expires))).collect()
    }
}
