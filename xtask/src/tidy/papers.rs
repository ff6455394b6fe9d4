//! Documents, licences and lock files.

use super::{Finding, files::Files};
use crate::setup::NPM;

/// What somebody looks for.
const EXPECTED: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
    "protocol/PROTOCOL.md",
    "docs/guide/README.md",
    "docs/guide/getting-started.md",
    "docs/guide/browser.md",
    "docs/guide/rust.md",
    "docs/guide/server.md",
    "docs/guide/terminal.md",
    "docs/guide/promise.md",
    "docs/guide/troubleshooting.md",
    "roomful.example.toml",
    "bench/RESULTS.md",
    ".ci/run",
];
const LICENCE: &str = "MIT OR Apache-2.0";

pub fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in EXPECTED.iter().filter(|path| !files.exists(path)) {
        findings.push(((*path).to_owned(), "is missing".to_owned()));
    }
    licences(files, &mut findings);
    npm_packages(files, &mut findings);
    links(files, &mut findings);
    findings
}

fn licences(files: &Files, findings: &mut Vec<Finding>) {
    if !files.text("Cargo.toml").contains(&format!("license = \"{LICENCE}\"")) {
        findings.push(("Cargo.toml".to_owned(), format!("the licence is {LICENCE}")));
    }
    if !files.text("Cargo.toml").contains("unsafe_code = \"forbid\"") {
        findings.push(("Cargo.toml".to_owned(), "unsafe code is forbidden".to_owned()));
    }
    for (path, text) in files.below("", &["json"]) {
        // Those below `bench` bring others to measure beside; nobody installs them from here.
        let is_ours = path.ends_with("/package.json") && !path.starts_with("bench/");
        if is_ours && !text.contains(&format!("\"license\": \"{LICENCE}\"")) {
            findings.push((path.to_owned(), format!("the licence is {LICENCE}")));
        }
    }
}

/// What npm installs is known to `cargo xtask setup`, and comes from whatever registry npm is told of.
fn npm_packages(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.below("", &["json"]) {
        let Some(folder) = path.strip_suffix("/package-lock.json") else { continue };
        if !folder.starts_with("bench/") && !NPM.contains(&folder) {
            findings.push((path.to_owned(), "nobody installs it: name its folder in xtask/src/setup.rs".to_owned()));
        }
        if text.contains("\"resolved\": \"http") {
            let what = "names a registry; write it with omit-lockfile-registry-resolved=true".to_owned();
            findings.push((path.to_owned(), what));
        }
    }
}

/// Relative links of documents lead somewhere.
fn links(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.below("", &["md"]) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut is_code = false;
        for (at, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            if is_code || line.starts_with("    ") {
                continue;
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
                if target.is_empty() || target.contains(':') || files.exists(&joined(folder, target)) {
                    continue;
                }
                findings.push((format!("{path}:{}", at + 1), format!("a link to {target}, which is not there")));
            }
        }
    }
}

fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_nobody_installs_are_found() {
        let files = Files::of(&[
            ("sdk/package-lock.json", "{}"),
            ("bench/peers/x/package-lock.json", "{}"),
            ("new/package-lock.json", "{ \"resolved\": \"https://example.org/x\" }"),
        ]);
        let mut findings = Vec::new();
        npm_packages(&files, &mut findings);
        let places: Vec<&str> = findings.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["new/package-lock.json", "new/package-lock.json"]);
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        let files = Files::of(&[
            ("docs/guide/a.md", "see [b](b.md#part), [c](../c.md), [web](https://example.org/x)\n"),
            ("docs/guide/b.md", ""),
        ]);
        let mut findings = Vec::new();
        links(&files, &mut findings);
        assert_eq!(findings, [("docs/guide/a.md:1".to_owned(), "a link to ../c.md, which is not there".to_owned())]);
    }
}
