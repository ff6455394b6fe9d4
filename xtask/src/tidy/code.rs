//! Rules of the code: who may know what and whom, bounded queues, sizes, words.

use std::collections::BTreeMap;

use super::{
    Finding,
    files::{Files, rust_code},
};

/// What a pure crate must not name.
const IMPURE: &[&str] = &[
    "tokio",
    "async",
    "std::net",
    "std::thread",
    "std::env",
    "std::fs",
    "std::process",
    "std::io",
    "HashMap",
    "HashSet",
    "Instant",
    "SystemTime",
    "Mutex",
    "RwLock",
    "getrandom",
    "thread_rng",
    "from_os_rng",
];
/// Crates without I/O.
const PURE: &[&str] = &["crates/room", "crates/deepstream"];
/// Each of our crates by the name that others import it under, its folder, and whom it may import.
const MAY_KNOW: &[(&str, &str, &[&str])] = &[
    ("deepstream", "crates/deepstream", &[]),
    ("room", "crates/room", &[]),
    ("signer", "crates/signer", &["room"]),
    ("rtc", "crates/rtc", &["room"]),
    ("roomful", "crates/client", &["room", "signer", "rtc"]),
    ("server", "crates/server", &["room", "rtc", "roomful", "deepstream"]),
    ("sim", "sim", &["room", "signer"]),
    ("cli", "crates/cli", &["room", "roomful", "server", "sim", "bench"]),
    ("tests", "tests", &["room", "rtc", "roomful", "server", "sim", "bench"]),
    ("hostile", "tests/hostile", &["room", "roomful", "deepstream"]),
    ("bench", "bench", &["room", "rtc", "roomful", "server", "sim"]),
    ("xtask", "xtask", &[]),
];
/// Libraries that one crate of ours hides from the others.
const HIDDEN: &[(&str, &str)] =
    &[("str0m", "rtc"), ("quinn-udp", "rtc"), ("metrics", "server"), ("metrics-exporter-prometheus", "server")];
/// Inside `room`: which module may name which.
const ROOM_MODULES: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("limits", &["time"]),
    ("id", &["limits"]),
    ("wire", &["wire", "id", "limits", "time"]),
    ("plan", &["plan", "id", "limits", "time", "wire"]),
    ("hub", &["hub", "plan", "id", "limits", "time", "wire"]),
    ("courier", &["courier", "id", "limits", "time", "wire"]),
    ("member", &["member", "courier", "plan", "id", "limits", "time", "wire"]),
];

/// Most lines of a file of code.
const LINES_MAX: usize = 800;
/// Files that may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

/// What is nowhere in the project. Written in halves, so that this file does not break its own rule.
const UNWANTED: &[(&str, &str, &str)] = &[
    ("TO", "DO", "do it, or open an issue"),
    ("FIX", "ME", "fix it, or open an issue"),
    ("HA", "CK:", "say what it does and why"),
    ("todo", "!(", "write it"),
    ("unimpl", "emented!(", "write it"),
    ("unbounded_", "channel", "every queue has a bound named in limits.rs"),
    ("Unbounded", "Sender", "every queue has a bound named in limits.rs"),
    ("#[ig", "nore", "a test runs, or says `skipped` and why"),
    ("test.", "skip(", "a test runs, or says `skipped` and why"),
    (".on", "ly(", "all tests run"),
    ("@ts-no", "check", "give it types"),
    ("@ts-ig", "nore", "give it types"),
];

pub fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    purity(files, &mut findings);
    only_rtc_names_str0m(files, &mut findings);
    crates_know_their_place(files, &mut findings);
    modules_of_room(files, &mut findings);
    queues_have_named_bounds(files, &mut findings);
    words_and_lengths(files, &mut findings);
    findings
}

/// Where a word stands in code, as whole word.
fn uses<'a>(lines: &'a [String], word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    lines.iter().enumerate().filter_map(move |(at, line)| {
        let is_whole = |(start, _): (usize, &str)| {
            !line[..start].ends_with(is_part) && !line[start + word.len()..].starts_with(is_part)
        };
        line.match_indices(word).any(is_whole).then_some(at + 1)
    })
}

fn purity(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in PURE.iter().flat_map(|folder| files.below(&format!("{folder}/src/"), &["rs"])) {
        let lines = rust_code(text);
        for word in IMPURE {
            for line in uses(&lines, word) {
                findings
                    .push((format!("{path}:{line}"), format!("a pure crate names `{word}`; hand it in from outside")));
            }
        }
    }
}

fn only_rtc_names_str0m(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.below("", &["rs"]) {
        if path.starts_with("crates/rtc/") || path.starts_with("xtask/") {
            continue;
        }
        for line in uses(&rust_code(text), "str0m") {
            findings.push((format!("{path}:{line}"), "only crates/rtc names str0m".to_owned()));
        }
    }
}

/// The names under which a manifest imports crates, outside its dev-dependencies.
fn imports(manifest: &str) -> Vec<&str> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && !section.contains("dev-dependencies") {
            names.extend(line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty() && !name.starts_with('#')));
        }
    }
    names
}

fn crates_know_their_place(files: &Files, findings: &mut Vec<Finding>) {
    let known: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().map(|(name, _, may)| (*name, *may)).collect();
    let folders: BTreeMap<&str, &str> = MAY_KNOW.iter().map(|(name, folder, _)| (*folder, *name)).collect();
    for (path, manifest) in files.below("", &["toml"]) {
        // Peers to measure beside are no part of the house: they stand outside the workspace.
        let outside = |folder: &&str| folder.starts_with("fuzz") || folder.starts_with("bench/peers/");
        let Some(folder) = path.strip_suffix("/Cargo.toml").filter(|folder| !outside(folder)) else {
            continue;
        };
        let Some(name) = folders.get(folder) else {
            findings.push((path.to_owned(), "a new crate: say in xtask/src/tidy/code.rs whom it may know".to_owned()));
            continue;
        };
        for import in imports(manifest) {
            if known.contains_key(import) && !known[name].contains(&import) {
                findings.push((path.to_owned(), format!("`{name}` must not know `{import}`; see ARCHITECTURE.md")));
            }
            if let Some((hidden, by)) = HIDDEN.iter().find(|(hidden, by)| *hidden == import && by != name) {
                findings.push((path.to_owned(), format!("only `{by}` depends on {hidden}")));
            }
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            findings.push((path.to_owned(), "lacks `[lints] workspace = true`, which forbids unsafe code".to_owned()));
        }
        if !manifest.contains("license.workspace = true") {
            findings.push((path.to_owned(), "lacks `license.workspace = true`".to_owned()));
        }
    }
}

/// The modules that code names after `crate::`, alone or in braces, with their lines.
fn modules_named(lines: &[String]) -> Vec<(usize, String)> {
    let text = lines.join("\n");
    let mut named = Vec::new();
    for (start, found) in text.match_indices("crate::") {
        if text[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = text[..start].matches('\n').count() + 1;
        let rest = &text[start + found.len()..];
        match rest.strip_prefix('{') {
            None => named.push((line, first_word(rest))),
            Some(group) => named.extend(members_of(group).into_iter().map(|name| (line, name))),
        }
    }
    named
}

/// The first word of each entry of a brace group whose opening brace has been taken.
fn members_of(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut is_start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            c if is_start && !c.is_whitespace() => {
                names.push(first_word(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn modules_of_room(files: &Files, findings: &mut Vec<Finding>) {
    let names: Vec<&str> = ROOM_MODULES.iter().map(|(name, _)| *name).collect();
    for (path, text) in files.below("crates/room/src/", &["rs"]) {
        let inside = path.trim_start_matches("crates/room/src/").trim_end_matches(".rs");
        let module = inside.split('/').next().unwrap_or(inside);
        if module == "lib" {
            continue;
        }
        let Some((_, may)) = ROOM_MODULES.iter().find(|(name, _)| *name == module) else {
            findings.push((path.to_owned(), "a new module: say in xtask/src/tidy/code.rs whom it may know".to_owned()));
            continue;
        };
        for (line, named) in modules_named(&rust_code(text)) {
            if named != module && names.contains(&named.as_str()) && !may.contains(&named.as_str()) {
                findings.push((format!("{path}:{line}"), format!("`{module}` must not know `{named}`")));
            }
        }
    }
}

/// The capacity of a channel is a name, not a number.
fn queues_have_named_bounds(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.below("crates/", &["rs"]) {
        if path.contains("/tests/") || path.ends_with("/tests.rs") {
            continue;
        }
        for (at, line) in rust_code(text).iter().enumerate() {
            let capacity = line.split_once("channel(").or_else(|| line.split_once("channel::<")).map(|(_, rest)| rest);
            let capacity = capacity.map(|rest| rest.split_once(">(").map_or(rest, |(_, rest)| rest).trim());
            let is_literal = capacity.is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
            // A queue of one is a mailbox: its bound needs no name.
            if is_literal && !capacity.is_some_and(|text| text.starts_with("1)")) {
                findings.push((format!("{path}:{}", at + 1), "name this queue's bound in limits.rs".to_owned()));
            }
        }
    }
}

fn words_and_lengths(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.below("", &["rs", "js", "mjs", "ts", "css", "html"]) {
        for (first, second, instead) in UNWANTED {
            let word = format!("{first}{second}");
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains(&word));
            findings.extend(lines.map(|(at, _)| (format!("{path}:{}", at + 1), format!("`{word}`: {instead}"))));
        }
        let length = text.lines().count();
        if length > LINES_MAX && !LONGER.iter().any(|(longer, _)| *longer == path) {
            let what = format!("{length} lines, more than {LINES_MAX}: split it, or give a reason in xtask");
            findings.push((path.to_owned(), what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|(place, _)| place.as_str()).collect()
    }

    #[test]
    fn impure_names_are_found_in_code_only() {
        let files = Files::of(&[(
            "crates/room/src/hub.rs",
            "// a HashMap\nuse std::time::Instant;\nlet x = \"tokio\";\nstruct MyInstantNoodle;\n",
        )]);
        let mut findings = Vec::new();
        purity(&files, &mut findings);
        assert_eq!(places(&findings), ["crates/room/src/hub.rs:2"]);
    }

    #[test]
    fn hub_and_member_do_not_see_each_other() {
        let files = Files::of(&[
            ("crates/room/src/hub/roster.rs", "use crate::{\n    id::MemberId,\n    member::{Member, hub},\n};\n"),
            ("crates/room/src/member.rs", "use crate::wire::signal;\nfn f() -> crate::hub::Hub {}\n"),
        ]);
        let mut findings = Vec::new();
        modules_of_room(&files, &mut findings);
        assert_eq!(places(&findings), ["crates/room/src/hub/roster.rs:1", "crates/room/src/member.rs:2"]);
    }

    #[test]
    fn crates_import_downwards_only() {
        let manifest = "license.workspace = true\n[dependencies]\nserver.workspace = true\nbytes = \"1\"\n\
                        [dev-dependencies]\nsim.workspace = true\n[lints]\nworkspace = true\n";
        let files = Files::of(&[("crates/client/Cargo.toml", manifest)]);
        let mut findings = Vec::new();
        crates_know_their_place(&files, &mut findings);
        assert_eq!(
            findings,
            [(
                "crates/client/Cargo.toml".to_owned(),
                "`roomful` must not know `server`; see ARCHITECTURE.md".to_owned()
            )]
        );
    }

    #[test]
    fn a_queue_of_literal_length_is_found() {
        let files = Files::of(&[(
            "crates/server/src/ws.rs",
            "let a = mpsc::channel(64);\nlet b = mpsc::channel::<Vec<u8>>(8);\nlet c = mpsc::channel(limits::A);\nlet d = channel(1);\n",
        )]);
        let mut findings = Vec::new();
        queues_have_named_bounds(&files, &mut findings);
        assert_eq!(places(&findings), ["crates/server/src/ws.rs:1", "crates/server/src/ws.rs:2"]);
    }
}
