use super::check;
use crate::tidy::testing::found;

const ROOT: (&str, &str) = ("Cargo.toml", "[workspace]\nmembers = ['a']\n");
const MANIFEST: (&str, &str) =
    ("a/Cargo.toml", "[package]\nname = 'a-b'\n[dependencies]\nhttp = '1'\ntower-service = '1'\n");

/// Interface of a library of these files, without the line that says how to write it.
fn interface(files: &[(&str, &str)]) -> Vec<String> {
    let problems = found(check, &[&[ROOT, MANIFEST], files].concat());
    let lines = problems.iter().filter_map(|problem| problem.strip_prefix("docs/api/a-b.txt: new: "));
    lines.filter(|line| !line.starts_with("Types and traits of")).map(str::to_owned).collect()
}

#[test]
fn items_are_listed_by_the_path_that_users_write() {
    let root =
        "mod inner;\npub use inner::{Kept, f as g};\npub mod open { pub const MOST: u8 = 1; }\nstruct Private;\n";
    let inner = "#[derive(Clone, Debug)]\npub struct Kept { pub part: u8, rest: u8 }\n\
                 impl Kept {\n    pub fn new(\n        part: u8,\n    ) -> Self { Self { part, rest: 0 } }\n    fn hidden(&self) {}\n}\n\
                 impl super::Private {\n    pub fn unseen() {}\n}\n\
                 impl Default for Kept { fn default() -> Self { Self::new(1) } }\n\
                 pub fn f<T>(_: T) where T: Copy {}\npub fn unreachable() {}\n";
    assert_eq!(
        interface(&[("a/src/lib.rs", root), ("a/src/inner.rs", inner)]),
        [
            "a_b::Kept.part: u8",
            "a_b::Kept: derives Clone, Debug",
            "a_b::Kept: impl Default for Kept",
            "a_b::Kept: struct with private fields",
            "a_b::Kept::new: fn new(part: u8) -> Self",
            "a_b::g: fn f<T>(_: T) where T: Copy",
            "a_b::open::MOST: const: u8",
        ]
    );
}

#[test]
fn traits_enums_and_types_of_other_crates_are_listed() {
    let root = "use http::Request;\nuse tower_service::Service;\n\
                pub trait Store: Send {\n    fn load(&self) -> u8;\n    fn purge(&self) {}\n}\n\
                #[non_exhaustive]\npub enum Kind {\n    /// First.\n    One,\n    Two(http::Uri),\n}\n\
                #[cfg(feature = \"x\")]\npub type Set<T> = Vec<T>;\n\
                impl<B> Service<Request<B>> for Kind {}\n";
    assert_eq!(
        interface(&[("a/src/lib.rs", root)]),
        [
            "- http::Request",
            "- http::Uri",
            "- tower_service::Service",
            "a_b::Kind: enum (non-exhaustive)",
            "a_b::Kind: impl<B> Service<Request<B>> for Kind",
            "a_b::Kind::One: variant",
            "a_b::Kind::Two: variant (http::Uri)",
            "a_b::Set: type<T> = Vec<T> [cfg(feature = \"x\")]",
            "a_b::Store: trait: Send",
            "a_b::Store::load: fn load(&self) -> u8",
            "a_b::Store::purge: fn purge(&self), with a default",
        ]
    );
}

#[test]
fn a_file_that_is_right_passes_and_an_old_one_does_not() {
    let library = ("a/src/lib.rs", "pub fn f() {}\n");
    let text = "a_b::f: fn f()\n\nTypes and traits of other crates in this interface:\n";
    assert_eq!(found(check, &[ROOT, MANIFEST, library, ("docs/api/a-b.txt", text)]), [""; 0]);
    let old = text.replace("fn f()", "fn f(_: u8)");
    let problems = found(check, &[ROOT, MANIFEST, library, ("docs/api/a-b.txt", &old)]);
    assert_eq!(
        problems[1..],
        ["docs/api/a-b.txt: new: a_b::f: fn f()", "docs/api/a-b.txt: no longer: a_b::f: fn f(_: u8)"]
    );
}
