//! Options after the `?` of a URL.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use session_core::Result;

use crate::names::{known, nearest};
use crate::wrong;

/// Options of a URL. Each is taken out by its name; [`finish`](Self::finish) fails if one is left.
pub struct Query<'u> {
    options: Vec<RawOption<'u>>,
    /// Names that were asked for, present or not, each with the meaning of its value.
    known: Vec<(&'static str, String)>,
}

struct RawOption<'u> {
    name: String,
    value: String,
    /// Name and value as written in the URL.
    pair: &'u str,
}

/// Splits a URL into the part before the `?` and its options.
///
/// ```
/// let (place, mut query) = session_store_kit::split("sqlite://sessions.db?namespace=w%65b")?;
/// assert_eq!(place, "sqlite://sessions.db");
/// assert_eq!(query.text("namespace").as_deref(), Some("web"));
/// query.finish()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL in quotation marks or with white space around it, and for an
/// option that is not UTF-8, has broken percent-encoding or occurs twice.
pub fn split(url: &str) -> Result<(&str, Query<'_>)> {
    check_copied(url)?;
    let (place, text) = url.split_once('?').unwrap_or((url, ""));
    let mut options: Vec<RawOption<'_>> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if options.iter().any(|given| given.name == name) {
            // The name is not quoted as it is written, because it may be a part of a password.
            return match known(&name) {
                Some(name) => wrong(format!("the option `{name}` is given twice in the URL; give it once")),
                None => wrong("an option is given twice in the URL; give it once"),
            };
        }
        options.push(RawOption { name, value, pair });
    }
    Ok((place, Query { options, known: Vec::new() }))
}

impl Query<'_> {
    fn take(&mut self, name: &'static str, meaning: &str) -> Option<String> {
        self.known.push((name, meaning.to_owned()));
        let at = self.options.iter().position(|given| given.name == name)?;
        Some(self.options.remove(at).value)
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        meaning: &str,
        must_be: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.take(name, meaning).map(|value| parse(&value)) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => wrong(format!("the URL's option {name} is not {must_be}")),
        }
    }

    /// Takes an option as text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name, "")
    }

    /// Takes an option whose value is a number.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the value is not a number of this type.
    pub fn number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>> {
        self.parsed(name, "a number", "a number in its range", |value| value.parse().ok())
    }

    /// Takes an option whose value is a number of milliseconds.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the value is not such a number.
    pub fn millis(&mut self, name: &'static str) -> Result<Option<Duration>> {
        self.parsed(name, "in ms", "a number of milliseconds", |value| value.parse().ok().map(Duration::from_millis))
    }

    /// Takes an option whose value is `true` or `false`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the value is neither.
    pub fn truth(&mut self, name: &'static str) -> Result<Option<bool>> {
        self.one_of(name, &[("true", true), ("false", false)])
    }

    /// Takes an option whose value is one of a few words.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the value is none of them.
    pub fn one_of<T: Clone>(&mut self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let list = listed(&names, "or");
        self.parsed(name, &list, &list, |value| {
            words.iter().find(|(word, _)| *word == value).map(|(_, means)| means.clone())
        })
    }

    /// Takes the driver's own options as written in the URL, joined by `&`.
    ///
    /// `theirs` recognizes their names. `what` names them in the error for an unknown option.
    pub fn drivers(&mut self, what: &'static str, mut theirs: impl FnMut(&str) -> bool) -> String {
        self.known.push((what, String::new()));
        let (drivers, ours) = std::mem::take(&mut self.options).into_iter().partition(|given| theirs(&given.name));
        self.options = ours;
        let pairs: Vec<_> = drivers.iter().map(|given: &RawOption<'_>| given.pair).collect();
        pairs.join("&")
    }

    /// Takes the options of drivers and providers that `theirs` recognizes by their names, with their values.
    ///
    /// `what` names them in the error for an unknown option.
    pub fn take_others(&mut self, what: &'static str, theirs: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        self.known.push((what, String::new()));
        let (others, ours) = std::mem::take(&mut self.options).into_iter().partition(|given| theirs(&given.name));
        self.options = ours;
        others.into_iter().map(|given: RawOption<'_>| (given.name, given.value)).collect()
    }

    /// Checks that all options have been taken.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if an option is left, because it is unknown.
    pub fn finish(self) -> Result<()> {
        let Some(given) = self.options.first() else { return Ok(()) };
        let names: Vec<_> = self
            .known
            .iter()
            .map(|(name, meaning)| if meaning.is_empty() { (*name).to_owned() } else { format!("{name} ({meaning})") })
            .collect();
        let names =
            if names.is_empty() { "there are none".to_owned() } else { format!("known are {}", listed(&names, "and")) };
        // The name is not quoted as it is written, because it may be a part of a password.
        let near = nearest(&given.name, self.known.iter().map(|(name, _)| *name));
        match (known(&given.name), near) {
            (_, Some(near)) => wrong(format!("unknown option in the URL, perhaps `{near}` misspelt; {names}")),
            (Some(name), None) => wrong(format!("unknown option `{name}` in the URL; {names}")),
            (None, None) => wrong(format!("unknown option in the URL; {names}")),
        }
    }
}

impl fmt::Debug for Query<'_> {
    /// Lists known names only, because a value may be a password and another name a part of one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.options.iter().map(|given| known(&given.name).unwrap_or("…"))).finish()
    }
}

/// Returns `text` without its percent-encoding.
///
/// ```
/// assert_eq!(session_store_kit::decode("my%20file")?, "my file");
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the decoded text is not UTF-8, or a `%` has not two hexadecimal digits
/// after it.
pub fn decode(text: &str) -> Result<String> {
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return wrong("a % in the URL is not followed by two hexadecimal digits; write the character % as %25");
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => wrong("the URL is not UTF-8"),
    }
}

/// Refuses a URL with something around it, as files of variables and shells leave it there.
///
/// ```
/// assert!(session_store_kit::check_copied("sqlite://sessions.db").is_ok());
/// assert!(session_store_kit::check_copied("\"sqlite://sessions.db\"").is_err());
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) for white space or quotation marks.
pub fn check_copied(url: &str) -> Result<()> {
    if url.trim() != url {
        return wrong("there is white space around the URL, such as the end of a line; remove it");
    }
    if url.starts_with(['"', '\'', '`']) {
        return wrong("the URL is in quotation marks; remove them");
    }
    Ok(())
}

/// Joins words as `a, b and c`.
pub(crate) fn listed<S: AsRef<str>>(words: &[S], and: &str) -> String {
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} {and} {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn options_are_taken_by_name_in_any_order() {
        let (place, mut query) = split("x://host/path?b=2&&a=%41%26&c=true&d=slow&e").unwrap();
        assert_eq!(place, "x://host/path");
        assert_eq!(query.text("a").as_deref(), Some("A&"));
        assert_eq!(query.number::<u8>("b").unwrap(), Some(2));
        assert_eq!(query.truth("c").unwrap(), Some(true));
        assert_eq!(query.one_of("d", &[("fast", 1), ("slow", 2)]).unwrap(), Some(2));
        assert_eq!(query.text("e").as_deref(), Some(""));
        assert_eq!(query.millis("f").unwrap(), None);
        query.finish().unwrap();
    }

    #[test]
    fn the_drivers_options_stay_as_they_stood() {
        let (_, mut query) = split("x://?a=1&ssl=%2Fca&pool=3&host=b%20c").unwrap();
        assert_eq!(query.drivers("the driver's", |name| matches!(name, "ssl" | "host")), "ssl=%2Fca&host=b%20c");
        assert_eq!(query.number::<u32>("pool").unwrap(), Some(3));
        let error = query.finish().unwrap_err().to_string();
        assert!(error.ends_with("unknown option in the URL; known are the driver's and pool (a number)"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said_without_its_value() {
        type Read = fn(Query<'_>) -> Result<()>;
        let cases: [(&str, Read, &str); 10] = [
            ("x:?n=hunter2", |mut q| q.number::<u32>("n").map(drop), "option n is not a number"),
            ("x:?n=300", |mut q| q.number::<u8>("n").map(drop), "option n is not a number"),
            ("x:?n=5s", |mut q| q.millis("n").map(drop), "milliseconds"),
            ("x:?n=hunter2", |mut q| q.truth("n").map(drop), "is not true or false"),
            ("x:?n=c", |mut q| q.one_of("n", &[("a", 1), ("b", 2), ("d", 3)]).map(drop), "is not a, b or d"),
            ("x:?hunter2&x@host", |q| q.finish(), "unknown option in the URL; there are none"),
            ("x:?@hunter2:%20/=1", |q| q.finish(), "unknown option in the URL"),
            ("x:?PgBouncer=hunter2", |q| q.finish(), "unknown option `pgbouncer` in the URL"),
            (
                "x:?tiemout=hunter2",
                |mut q| {
                    q.millis("timeout")?;
                    q.finish()
                },
                "unknown option in the URL, perhaps `timeout` misspelt; known are timeout (in ms)",
            ),
            (
                "x:?a=hunter2",
                |mut q| {
                    q.truth("b")?;
                    q.finish()
                },
                "known are b (true or false)",
            ),
        ];
        for (url, read, part) in cases {
            let error = read(split(url).unwrap().1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
        }
        for (url, part) in [
            ("x:?a=%ff", "not UTF-8"),
            ("x:?%ff=1", "not UTF-8"),
            ("x:?a=1%", "as %25"),
            ("x:?a=1&%61=hunter2", "an option is given twice"),
            ("x:?pool=1&%70ool=hunter2", "`pool` is given twice"),
            ("'x:'", "quotation marks"),
            ("x:?a=hunter2\r\n", "white space"),
        ] {
            let error = split(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", split("x:?password=hunter2&hunter2").unwrap().1), r#"["password", "…"]"#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(url in "[a-z:/]{0,8}[?&=%a-f0-9é]{0,40}") {
            if let Ok((place, mut query)) = split(&url) {
                prop_assert!(url.starts_with(place));
                query.text("a");
                let _ = query.finish();
            }
        }
    }
}
