//! The snippets of the README are snippets that run elsewhere, to the letter.

use std::{fs, path::PathBuf};

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let open = format!("```{language}\n");
    let (_, rest) = text.split_once(&open).unwrap_or_else(|| panic!("there is no {language} block"));
    rest.split_once("```").expect("the block ends").0
}

#[test]
fn the_rust_snippet_is_a_doctest_of_the_router() {
    let documented: String = read("core/src/router.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("///"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let readme = read("README.md");
    assert!(documented.contains(block(&readme, "rust")), "{}", block(&readme, "rust"));
}

#[test]
fn the_javascript_snippet_is_that_of_the_package() {
    assert_eq!(block(&read("README.md"), "js"), block(&read("wasm/README.md"), "js"));
}
