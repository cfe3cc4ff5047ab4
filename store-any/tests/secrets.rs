//! No part of a password is shown, however the URL is written.

use std::error::Error as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use session_core::{Error, ErrorKind};
use session_store_any::{connect, schemes};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Texts in all forms in which an application can show an error.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

/// Returns the schemes of stores on servers, with the `://`.
fn servers() -> Vec<String> {
    let local = ["file", "memory", "null", "redb", "sqlite"];
    let schemes = schemes().into_iter().filter(|scheme| !local.contains(&scheme.as_str()));
    schemes.map(|scheme| format!("{scheme}://")).collect()
}

/// Opens `url`, whose host is a port of this machine where nothing listens, and returns what the error shows.
fn refused(url: &str) -> (ErrorKind, String) {
    let error = RUNTIME.block_on(connect(url)).expect_err("nothing listens there");
    (error.kind(), shown(&error))
}

/// Fails if `text` shows four characters of `password` in a row.
fn check(password: &str, text: &str, url: &str) {
    let characters: Vec<char> = password.chars().collect();
    for part in characters.windows(4) {
        let part: String = part.iter().collect();
        assert!(!text.contains(&part), "{url}: {part} is shown in {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The letters are few, so that no part of a password is by chance one of a fixed text.
    #[test]
    fn a_password_in_a_servers_url_is_not_shown(password in "[qxzQXZ79é?#/@:&=%+;,.\\[\\]\\\\ '\"!$-]{1,24}") {
        for scheme in servers() {
            for url in [
                format!("{scheme}ann:{password}@127.0.0.1:1/shop?timeout=20"),
                format!("{scheme}{password}@127.0.0.1:1/shop?timeout=20"),
                format!("{scheme}ann:secret@127.0.0.1:1/shop?timeout=20&password={password}"),
            ] {
                check(&password, &refused(&url).1, &url);
            }
        }
    }

    #[test]
    fn a_url_without_a_known_scheme_is_not_shown(url in "[qxzQXZ79]{2,12}[:@/?#%&=.qxz7 ]{0,12}") {
        let (kind, text) = refused(&url);
        assert_eq!(kind, ErrorKind::Config);
        check(&url, &text, &url);
    }
}

#[test]
fn an_option_that_is_the_rest_of_a_password_is_not_named() {
    for scheme in servers() {
        for password in
            ["pa?hunter2&x", "pa#hunter2", "12/hunter2", "1?hunter2=", "a@b?hunter2=1", "pa?namespace=hunter2"]
        {
            let url = format!("{scheme}shop:{password}@127.0.0.1:1/shop?timeout=20");
            let (kind, text) = refused(&url);
            assert_eq!(kind, ErrorKind::Config, "{url}: {text}");
            assert!(!text.contains("hunter2"), "{url}: {text}");
        }
    }
}

#[test]
fn the_form_of_a_url_is_shown_as_it_is_to_be_written() {
    for scheme in servers() {
        let (kind, text) = refused(&format!("{scheme}:x@[/shop"));
        assert_eq!(kind, ErrorKind::Config);
        assert!(!text.contains("***"), "{scheme}: {text}");
    }
}
