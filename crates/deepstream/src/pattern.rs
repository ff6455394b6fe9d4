//! Patterns that name many names at once, as the configuration writes them.

use std::fmt;

use crate::name::Name;

/// A pattern over names. `*` stands for any characters but `/`, `**` for any characters, `$user` for the name of the
/// user whom it is applied to, and everything else for itself.
///
/// ```
/// # use deepstream::pattern::Pattern;
/// let rooms = Pattern::new("rooms/*");
/// assert!(rooms.matches("rooms/standup", None) && !rooms.matches("rooms/standup/chat", None));
/// let own = Pattern::new("users/$user/**");
/// assert!(own.matches("users/ada/a/b", Some("ada")) && !own.matches("users/ada/a/b", Some("bob")));
/// assert!(!own.matches("users//a", None), "nobody is nobody's user");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `*`
    Within,
    /// `**`
    Across,
    /// `$user`
    User,
}

const USER: &str = "$user";

impl Pattern {
    /// The pattern with this text. Every text is one.
    pub fn new(text: &str) -> Pattern {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (part, length) = if rest.starts_with(USER) {
                (Part::User, USER.len())
            } else if rest.starts_with("**") {
                (Part::Across, 2)
            } else if first == '*' {
                (Part::Within, 1)
            } else {
                let end = rest[first.len_utf8()..].find(['*', '$']).map_or(rest.len(), |end| end + first.len_utf8());
                (Part::Text(rest[..end].to_owned()), end)
            };
            rest = &rest[length..];
            match (parts.last_mut(), part) {
                (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
                // Stars in a row are as good as the strongest of them, and cost one search instead of many.
                (Some(Part::Across), Part::Within | Part::Across) => {}
                (Some(last @ Part::Within), part @ (Part::Within | Part::Across)) => *last = part,
                (_, part) => parts.push(part),
            }
        }
        Pattern { text: text.to_owned(), parts }
    }

    /// Whether it names this name, for this user.
    pub fn matches(&self, name: &str, user: Option<&str>) -> bool {
        // Where a star took too little, go back to the last of each kind; a `*` cannot take more than a segment, so
        // that after it failed only the last `**` is left to try. No more than that: quadratic, not exponential.
        let mut state = (0, 0);
        let mut within: Option<(usize, usize)> = None;
        let mut across: Option<(usize, usize)> = None;
        loop {
            let (part, at) = state;
            let next = match self.parts.get(part) {
                None if at == name.len() => return true,
                None => None,
                Some(Part::Text(text)) => name[at..].starts_with(text.as_str()).then(|| at + text.len()),
                Some(Part::User) => user.filter(|user| name[at..].starts_with(user)).map(|user| at + user.len()),
                Some(Part::Within) => {
                    within = Some((part, at));
                    Some(at)
                }
                Some(Part::Across) => {
                    (within, across) = (None, Some((part, at)));
                    Some(at)
                }
            };
            if let Some(at) = next {
                state = (part + 1, at);
                continue;
            }
            let step = |at: usize, but: Option<char>| {
                name[at..].chars().next().filter(|next| Some(*next) != but).map(|next| at + next.len_utf8())
            };
            if let Some((part, at)) = within.and_then(|(part, at)| Some((part, step(at, Some('/'))?))) {
                within = Some((part, at));
                state = (part + 1, at);
            } else if let Some((part, at)) = across.and_then(|(part, at)| Some((part, step(at, None)?))) {
                (within, across) = (None, Some((part, at)));
                state = (part + 1, at);
            } else {
                return false;
            }
        }
    }

    /// Whether any of these patterns names this name, for nobody in particular.
    pub(crate) fn any(patterns: &[Pattern], name: &Name) -> bool {
        patterns.iter().any(|pattern| pattern.matches(name, None))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Pattern {
        Pattern::new(text)
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Pattern {
        Pattern::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by definition: try everything.
    fn matches_slowly(parts: &[Part], name: &str, user: Option<&str>) -> bool {
        let Some((part, rest)) = parts.split_first() else { return name.is_empty() };
        match part {
            Part::Text(text) => name.strip_prefix(text.as_str()).is_some_and(|name| matches_slowly(rest, name, user)),
            Part::User => {
                user.and_then(|user| name.strip_prefix(user)).is_some_and(|name| matches_slowly(rest, name, user))
            }
            star => (0..=name.len()).filter(|end| name.is_char_boundary(*end)).any(|end| {
                (*star == Part::Across || !name[..end].contains('/')) && matches_slowly(rest, &name[end..], user)
            }),
        }
    }

    proptest! {
        #[test]
        fn the_quick_search_finds_what_a_full_search_finds(
            text in "(a|b|/|\\*|\\*|\\$user|\\$|ü){0,8}",
            name in "[ab/ü$]{0,10}",
        ) {
            let pattern = Pattern::new(&text);
            for user in [None, Some("a"), Some("b/")] {
                prop_assert_eq!(pattern.matches(&name, user), matches_slowly(&pattern.parts, &name, user));
            }
        }
    }

    #[test]
    fn a_dollar_is_only_a_dollar() {
        assert!(Pattern::new("$use/*$").matches("$use/x$", None));
        assert!(!Pattern::new("users").matches("users/a", None));
        assert!(Pattern::new("**").matches("", None) && Pattern::new("").matches("", None));
    }

    #[test]
    fn many_stars_cost_little() {
        let pattern = Pattern::new(&"*a".repeat(400));
        assert!(!pattern.matches(&"a".repeat(399), None));
    }
}
