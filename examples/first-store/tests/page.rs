//! The page `docs/writing-a-store.md` shows exactly the code of this crate.

/// Returns the programs on the page, in order.
fn programs() -> Vec<String> {
    let page = include_str!("../../../docs/writing-a-store.md");
    let blocks = page.split("```rust").skip(1).map(|rest| {
        let (_, code) = rest.split_once('\n').expect("a line ends after the fence");
        code.split("```").next().unwrap_or_default().to_owned()
    });
    blocks.collect()
}

#[test]
fn the_page_shows_the_store() {
    // The first line differs, because the documentation of this crate is its README.
    let but_first = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    let store = include_str!("../src/lib.rs").split("\n#[cfg(doctest)]").next().unwrap_or_default();
    assert_eq!(but_first(&programs()[0]), but_first(store));
}

#[test]
fn the_page_shows_the_harness() {
    assert_eq!(programs()[1], include_str!("conformance.rs"));
}

#[test]
fn there_are_no_other_programs_on_the_page() {
    assert_eq!(programs().len(), 2);
}
