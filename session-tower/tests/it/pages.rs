//! User documentation names only tests that exist.

use std::path::Path;

#[test]
fn every_row_of_the_page_for_gophers_names_tests_that_exist() {
    let page = include_str!("../../../docs/coming-from-go.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rows: Vec<_> = page.split("\n## ").skip(1).collect();
    assert!(rows.len() >= 11);
    for row in rows {
        let title = row.lines().next().unwrap();
        assert!(row.contains("```go\n") && row.contains("```rust\n"), "{title}: both programs");
        let named = row.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("` in ["));
        let mut count = 0;
        for (test, rest) in named {
            let path = rest.split(']').next().unwrap();
            let source = std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(source.contains(&format!("fn {test}(")), "{title}: {test} is not in {path}");
            count += 1;
        }
        assert!(count > 0, "{title}: a test");
    }
}
