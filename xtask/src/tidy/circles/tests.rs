use super::check;
use crate::tidy::testing::found;

/// Problems of a library of these files.
fn of(files: &[(&str, &str)]) -> Vec<String> {
    found(check, files)
}

#[test]
fn files_that_use_each_other_are_found_with_the_lines() {
    let files = [
        ("x/src/lib.rs", "mod a;\nmod b;\n"),
        ("x/src/a.rs", "use crate::b::f;\npub struct A;\n"),
        ("x/src/b.rs", "pub fn f() {}\nfn g(_: super::a::A) {}\n"),
    ];
    let problem =
        "x/src/a.rs:1: circle: src/a.rs:1 uses `crate::b::f` of src/b.rs; src/b.rs:2 uses `super::a::A` of src/a.rs";
    assert_eq!(of(&files), [problem]);
}

#[test]
fn a_longer_circle_is_found_and_one_direction_passes() {
    let root = ("x/src/lib.rs", "mod a;\nmod b;\nmod c;\n");
    let a = ("x/src/a.rs", "use super::b;\npub fn f() { b::f() }\n");
    let b = ("x/src/b.rs", "pub fn f() { let _ = vec![crate::c::C]; }\n");
    assert_eq!(of(&[root, a, b, ("x/src/c.rs", "pub struct C;\n")]), [""; 0]);
    assert_eq!(of(&[root, a, b, ("x/src/c.rs", "pub struct C;\nfn f() { crate::a::f() }\n")]).len(), 1);
}

#[test]
fn an_item_is_of_the_file_that_defines_it_and_a_re_export_is_no_use() {
    let root = ("x/src/lib.rs", "mod a;\npub use a::A;\nmod b;\npub use b::*;\n");
    let a = ("x/src/a.rs", "pub struct A;\nimpl A { fn f() -> crate::B { crate::B } }\n");
    assert_eq!(of(&[root, a, ("x/src/b.rs", "pub struct B;\n")]), [""; 0]);
    assert_eq!(of(&[root, a, ("x/src/b.rs", "pub struct B(crate::A);\n")]).len(), 1);
    // The parent uses what it exports.
    let root = ("x/src/lib.rs", "mod a;\npub use a::A;\npub struct B(A);\n");
    assert_eq!(of(&[root, a]).len(), 1);
}

#[test]
fn items_of_a_parent_are_used_by_its_submodules_and_not_the_other_way_round() {
    let root = ("x/src/lib.rs", "mod a;\n");
    let below = ("x/src/a/below.rs", "use super::A;\npub fn f(_: A) {}\n");
    assert_eq!(of(&[root, ("x/src/a/mod.rs", "mod below;\npub struct A;\n"), below]), [""; 0]);
    assert_eq!(of(&[root, ("x/src/a/mod.rs", "mod below;\npub struct A;\nfn g() { below::f(A) }\n"), below]).len(), 1);
}

#[test]
fn tests_may_use_what_they_test() {
    let root = ("x/src/lib.rs", "mod a;\n#[cfg(test)]\nmod testing;\n");
    let a = "pub struct A;\n#[cfg(test)]\nmod tests {\n    use super::*;\n    fn f() { crate::testing::make(A) }\n}\n";
    let testing = ("x/src/testing.rs", "pub fn make(_: crate::a::A) {}\n");
    assert_eq!(of(&[root, ("x/src/a.rs", a), testing]), [""; 0]);
    let apart =
        [root, ("x/src/a.rs", "pub struct A;\n#[cfg(test)]\nmod tests;\n"), ("x/src/a/tests.rs", "use super::A;\n")];
    assert_eq!(of(&apart), [""; 0]);
}

#[test]
fn a_test_program_is_a_crate_of_its_own() {
    let files = [
        ("x/tests/p/main.rs", "mod a;\nstruct Setup;\nfn f() { a::run(Setup) }\n"),
        ("x/tests/p/a.rs", "pub fn run(_: super::Setup) {}\n"),
        ("x/src/lib.rs", ""),
    ];
    assert_eq!(of(&files).len(), 1);
}

#[test]
fn macros_and_files_by_path_are_followed() {
    let root = "#[macro_use]\nmod a;\n#[path = \"other/place.rs\"]\nmod b;\n";
    let a = "macro_rules! make { () => { $crate::b::f() } }\npub struct A;\n";
    let b = ("x/src/other/place.rs", "pub fn f() {}\nfn g() { make!() }\n");
    assert_eq!(of(&[("x/src/lib.rs", root), ("x/src/a.rs", a), b]).len(), 1);
}

#[test]
fn variables_fields_and_other_crates_are_no_use() {
    let files = [
        ("x/src/lib.rs", "mod a;\nmod b;\n"),
        ("x/src/a.rs", "use super::b::B;\npub fn len(b: &B) -> usize { b.inner }\n"),
        (
            "x/src/b.rs",
            "use std::a::X;\npub struct B { pub inner: usize }\nfn f(b: B) { let len = 1; assert!(b.len(len)); ::a::g(); }\n",
        ),
    ];
    assert_eq!(of(&files), [""; 0]);
}
