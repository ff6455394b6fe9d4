//! What is said in more than one place is said alike: PROTOCOL.md, the Rust code and the SDK.

use super::{Finding, files::Files};

const PROTOCOL: &str = "protocol/PROTOCOL.md";
const LIMITS: &str = "crates/room/src/limits.rs";
const SIGNAL: &str = "crates/room/src/wire/signal.rs";
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
    let code = between(files.text(SIGNAL), "\nrefusal_codes! {", "\n}").unwrap_or_default();
    let said = quoted(prose, '`');
    let built = quoted(code, '"');
    if said.is_empty() || said != built {
        // Their order gives the close codes.
        let what = format!("refusal codes, in this order: {PROTOCOL} has {said:?}, {SIGNAL} has {built:?}");
        findings.push((PROTOCOL.to_owned(), what));
    }
}

/// Every bound that the prose names is a constant, and the SDK gives those that it has the same value.
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
    for (path, text) in files.below("sdk/src/limits.js", &["js"]) {
        for (at, line) in text.lines().enumerate() {
            let Some((name, value)) = line.strip_prefix("export const ").and_then(|rest| rest.split_once(" = ")) else {
                continue;
            };
            let Some(ours) = between(rust, &format!("pub const {name}: "), ";") else {
                findings.push((format!("{path}:{}", at + 1), format!("`{name}` is no constant of {LIMITS}")));
                continue;
            };
            let ours = ours.split_once(" = ").map_or(ours, |(_, value)| value);
            if number(ours).is_none() || number(ours) != number(value.trim_end_matches(';')) {
                findings.push((format!("{path}:{}", at + 1), format!("`{name}` is `{ours}` in {LIMITS}")));
            }
        }
    }
}

/// The value of a constant as Rust or JavaScript writes it: products and differences of whole numbers, times in µs.
fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some((left, right)) = text.rsplit_once(" - ") {
        return Some(number(left)? - number(right)?);
    }
    if let Some((left, right)) = text.rsplit_once(" * ") {
        return Some(number(left)? * number(right)?);
    }
    let call = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
    if let Some(ms) = call("Micros::from_millis(").or_else(|| call("millis(")) {
        return Some(number(ms)? * 1_000);
    }
    if let Some(s) = call("Micros::from_secs(").or_else(|| call("secs(")) {
        return Some(number(s)? * 1_000_000);
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_languages() {
        assert_eq!(number("16 * 1024 - 128"), Some(16_256));
        assert_eq!(number("Micros::from_millis(1_500)"), Some(1_500_000));
        assert_eq!(number("Micros::from_secs(2)"), number("2_000_000"));
        assert_eq!(number("something"), None);
    }

    #[test]
    fn a_word_reserved_in_one_place_only_is_found() {
        let files = Files::of(&[
            (PROTOCOL, "not a reserved word (`sdk api`). Refusal codes: `a`, `b`.\nBounds: `OF_THIS`, `of_that`"),
            (IDS, "pub const RESERVED: [&str; 2] =\n [\"api\", \"app\"];\n"),
            (SIGNAL, "\nrefusal_codes! {\n A = \"a\", true;\n B = \"b\", false;\n}\n"),
            (LIMITS, "pub const OTHER: usize = 2 * 3;\n"),
            ("sdk/src/limits.js", "export const OTHER = 5;\n"),
        ]);
        let places: Vec<String> = check(&files).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [PROTOCOL, "protocol/PROTOCOL.md:2", "sdk/src/limits.js:1"]);
    }
}
