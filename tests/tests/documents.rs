//! What the documents show in Rust is what the examples do, which compile.

/// The statements of Rust in a document, without comments and line breaks.
fn shown(document: &str) -> Vec<String> {
    let blocks = document.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(bare).filter(|line| !line.is_empty()).collect()
}

fn bare(line: &str) -> String {
    line.split("// ").next().unwrap_or(line).trim().to_owned()
}

fn assert_shown_in(document: &str, example: &str) {
    let mut rest = example.lines().map(bare);
    let lines = shown(document);
    assert!(!lines.is_empty(), "the document shows Rust");
    for line in lines {
        assert!(rest.any(|there| there == line), "the example lacks, in this order: {line}");
    }
}

#[test]
fn the_readme_shows_what_its_example_does() {
    assert_shown_in(include_str!("../../README.md"), include_str!("../examples/readme.rs"));
}

#[test]
fn the_guide_shows_what_its_example_does() {
    assert_shown_in(include_str!("../../docs/guide/rust.md"), include_str!("../examples/guide.rs"));
}
