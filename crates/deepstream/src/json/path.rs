//! Paths into records: `a.b[0].c`.

use crate::limits;

/// Where in a record a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A key of an object; where it is a number, also an index of an array.
    Key(String),
    /// An index in brackets, which makes an array where there is nothing yet.
    Index(usize),
}

/// A text that is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no path into a record")]
pub(crate) struct PathError;

impl Path {
    /// Reads a path as the clients do: split at dots, indices in brackets, white space around parts ignored. What the
    /// two clients read differently (empty brackets, a part that begins with brackets but is not the first) is
    /// refused, and so is `__proto__`, with which a client could reach into the others' prototypes.
    pub(crate) fn new(text: &str) -> Result<Path, PathError> {
        if text.len() > limits::PATH_MAX || text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(PathError);
        }
        let mut steps = Vec::new();
        for part in text.split('.').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if key.is_empty() && !steps.is_empty() || key.contains(']') || key == "__proto__" {
                return Err(PathError);
            }
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            while let Some(inner) = rest.strip_prefix('[') {
                let (index, after) = inner.split_once(']').ok_or(PathError)?;
                steps.push(Step::Index(parse_index(index).ok_or(PathError)?));
                rest = after;
            }
            if !rest.is_empty() {
                return Err(PathError);
            }
        }
        if steps.is_empty() || steps.len() > limits::PATH_STEPS {
            return Err(PathError);
        }
        Ok(Path { text: text.to_owned(), steps })
    }

    /// As the client wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its steps, at least one.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// It as an index of an array.
    pub(crate) fn index(&self) -> Option<usize> {
        match self {
            Step::Index(index) => Some(*index),
            Step::Key(key) => parse_index(key),
        }
    }
}

/// An index as JavaScript writes it: digits, without zeros in front.
fn parse_index(text: &str) -> Option<usize> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || text.len() > 9 || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Step {
        Step::Key(text.to_owned())
    }

    #[test]
    fn paths_are_read_as_the_clients_read_them() {
        for (text, steps) in [
            ("a", vec![key("a")]),
            ("a.b[0].c", vec![key("a"), key("b"), Step::Index(0), key("c")]),
            ("[3][12]", vec![Step::Index(3), Step::Index(12)]),
            (" a . b c ", vec![key("a"), key("b c")]),
            ("a..b.", vec![key("a"), key("b")]),
            ("a.0", vec![key("a"), key("0")]),
        ] {
            assert_eq!(Path::new(text).unwrap().steps(), steps, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = vec!["a"; limits::PATH_STEPS + 1].join(".");
        for text in
            ["", ".", "a[", "a]", "a[]", "a[x]", "a[-1]", "a[01]", "a[0]b", "a.[0]", "a\u{1f}", "__proto__.x", &long]
        {
            assert_eq!(Path::new(text), Err(PathError), "{text}");
        }
    }
}
