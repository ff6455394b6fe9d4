//! What is said in more than one place is said alike: PROTOCOL.md, the Rust code and the SDK.

use super::{Finding, files::Files};

const PROTOCOL: &str = "protocol/PROTOCOL.md";
const LIMITS: &str = "crates/room/src/limits.rs";
const REFUSALS: &str = "crates/room/src/wire/refusal.rs";
const IDS: &str = "crates/room/src/id.rs";

pub fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    reserved_words(files, &mut findings);
    refusal_codes(files, &mut findings);
    limits(files, &mut findings);
    findings
}

/// The text between two markers.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end)?])
}

/// Every second piece between quotes of a kind.
fn quoted(text: &str, quote: char) -> Vec<&str> {
    text.split(quote).skip(1).step_by(2).collect()
}

fn reserved_words(files: &Files, findings: &mut Vec<Finding>) {
    let prose = between(files.text(PROTOCOL), "a reserved word (`", "`)").unwrap_or_default();
    let mut said: Vec<&str> = prose.split_whitespace().collect();
    let code = between(files.text(IDS), "pub const RESERVED", ";\n").unwrap_or_default();
    let mut built: Vec<&str> = quoted(code, '"');
    said.sort_unstable();
    built.sort_unstable();
    if said.is_empty() || said != built {
        let what = format!("reserved words: {PROTOCOL} has {said:?}, {IDS} has {built:?}");
        findings.push((PROTOCOL.to_owned(), what));
    }
}

fn refusal_codes(files: &Files, findings: &mut Vec<Finding>) {
    let prose = between(files.text(PROTOCOL), "Refusal codes: ", ".\n").unwrap_or_default();
    let code = between(files.text(REFUSALS), "\nrefusal_codes! {", "\n}").unwrap_or_default();
    let said = quoted(prose, '`');
    let built = quoted(code, '"');
    if said.is_empty() || said != built {
        // Their order gives the close codes.
        let what = format!("refusal codes, in this order: {PROTOCOL} has {said:?}, {REFUSALS} has {built:?}");
        findings.push((PROTOCOL.to_owned(), what));
    }
}

/// Every bound that the prose names is a constant. That the SDK has the same ones is a test of its own.
fn limits(files: &Files, findings: &mut Vec<Finding>) {
    let rust = files.text(LIMITS);
    let is_bound = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    for (at, line) in files.text(PROTOCOL).lines().enumerate() {
        for name in quoted(line, '`').into_iter().filter(is_bound) {
            if !rust.contains(&format!("pub const {name}:")) {
                findings.push((format!("{PROTOCOL}:{}", at + 1), format!("`{name}` is no constant of {LIMITS}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reserved_in_one_place_only_is_found() {
        let files = Files::of(&[
            (PROTOCOL, "not a reserved word (`sdk api`). Refusal codes: `a`, `b`.\nBounds: `OF_THIS`, `of_that`"),
            (IDS, "pub const RESERVED: [&str; 2] =\n [\"api\", \"app\"];\n"),
            (REFUSALS, "\nrefusal_codes! {\n A = \"a\", true;\n B = \"b\", false;\n}\n"),
            (LIMITS, "pub const OTHER: usize = 2 * 3;\n"),
        ]);
        let places: Vec<String> = check(&files).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [PROTOCOL, "protocol/PROTOCOL.md:2"]);
    }
}
