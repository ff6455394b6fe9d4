//! The project's own text files, as they lie in the work tree.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::shell::root;

/// Folders with what others wrote or what machines made.
const FOREIGN: &[&str] =
    &["target", "node_modules", ".git", "corpus", "artifacts", "types", "coverage", "test-results", "vendor"];
/// What is read as text.
const TEXT: &[&str] = &["rs", "toml", "md", "js", "mjs", "ts", "json", "css", "html", "yml", "yaml", "lock"];

pub struct Files {
    by_path: BTreeMap<String, String>,
}

impl Files {
    /// Reads every text file of the project.
    pub fn read() -> Files {
        let mut files = Files { by_path: BTreeMap::new() };
        files.read_folder(&root(), "");
        files
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        for entry in entries {
            let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            if entry.is_dir() {
                if !FOREIGN.contains(&name) {
                    self.read_folder(&entry, &path);
                }
            } else if entry.extension().and_then(|e| e.to_str()).is_some_and(|e| TEXT.contains(&e))
                && let Ok(text) = fs::read_to_string(&entry)
            {
                self.by_path.insert(path, text);
            }
        }
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Files {
        Files { by_path: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// One file's text; empty where there is none.
    pub fn text(&self, path: &str) -> &str {
        self.by_path.get(path).map_or("", String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_path.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Files below a folder with one of these extensions.
    pub fn below<'a>(&'a self, folder: &str, extensions: &[&str]) -> Vec<(&'a str, &'a str)> {
        let is_wanted = |path: &str| {
            path.starts_with(folder) && path.rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end))
        };
        self.iter().filter(|(path, _)| is_wanted(path)).collect()
    }

    /// Whether there is such a file or folder.
    pub fn exists(&self, path: &str) -> bool {
        self.by_path.contains_key(path) || root().join(path).exists()
    }
}

/// Rust code without comments and without what string and character literals say, line by line, and without test
/// modules. Enough for looking for names; it does not parse.
pub fn rust_code(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = blank(text).lines().map(str::to_owned).collect();
    let tests = lines.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(lines.len());
    // Style: tests come last in a file.
    lines.truncate(tests);
    lines
}

/// Replaces comments and the insides of literals by spaces.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            '"' => string_length(rest, '"'),
            '\'' if is_char_literal(rest) => string_length(rest, '\''),
            other => {
                out.push(other);
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

/// The length of a raw string that starts here.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
    rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    rest[2 + hashes..].find(&end).map(|at| 2 + hashes + at + end.len())
}

fn string_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// `'a'` and `'\n'`, not the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_without_comments_literals_and_tests() {
        let text = "let a = \"tokio \\\" x\"; // tokio\nlet b: &'a str = r#\"to\"kio\"#; /* to\nkio */ f('\"', x);\n#[cfg(test)]\nmod tests {}\n";
        let code = rust_code(text).join("\n");
        assert!(!code.contains("kio"), "{code}");
        assert!(code.contains("f(") && code.contains("&'a str") && !code.contains("mod tests"), "{code}");
        assert_eq!(code.lines().count(), 3);
    }
}
