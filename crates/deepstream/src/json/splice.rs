//! Changing one value inside a JSON text, without taking the text apart.
//!
//! Everything here relies on [`check`](super::check) having accepted the texts. It follows what the clients do with
//! their own copies: what is on the way to a value and no container becomes one, an array where an index in brackets
//! follows, else an object; of keys that are there twice the last counts; a removed element of an array becomes null.

use std::ops::Range;

use super::{
    is_space,
    path::{Path, PathError, Step},
};
use crate::limits;

/// The text with the value at a path replaced, or added.
///
/// # Errors
/// Where the path leads into an array by a word, or too far beyond its end.
pub(crate) fn set(text: &str, path: &Path, value: &str) -> Result<String, PathError> {
    let place = find(text, path.steps())?;
    let made = made(place.missing, value)?;
    Ok(match place.at {
        At::Value { value: range, .. } => spliced(text, range, &made),
        At::Member { end, is_first, key } => {
            let comma = if is_first { "" } else { "," };
            spliced(text, end..end, &format!("{comma}{}:{made}", super::write(key.as_str())))
        }
        At::Element { end, length, index } => {
            let mut added = String::new();
            for _ in length..index {
                added.push_str(",null");
            }
            added.push(',');
            added.push_str(&made);
            spliced(text, end..end, if length == 0 { &added[1..] } else { &added })
        }
    })
}

/// The text without the value at a path.
///
/// # Errors
/// Where the path leads into an array by a word, or too far beyond its end.
pub(crate) fn remove(text: &str, path: &Path) -> Result<String, PathError> {
    let place = find(text, path.steps())?;
    Ok(match place.at {
        At::Value { value, member } if place.missing.is_empty() => match member {
            Some(member) => spliced(text, with_comma(text, member), ""),
            None => spliced(text, value, "null"),
        },
        _ => text.to_owned(),
    })
}

/// How far a path leads.
struct Place<'a> {
    at: At,
    /// What is left of the path behind that.
    missing: &'a [Step],
}

/// Where to put what is missing.
enum At {
    /// In the place of a value, which is part of a member of an object, or of an array.
    Value { value: Range<usize>, member: Option<Range<usize>> },
    /// Before the end of an object, as a new member.
    Member { end: usize, is_first: bool, key: String },
    /// Before the end of an array, as the element with this index.
    Element { end: usize, length: usize, index: usize },
}

fn find<'a>(text: &str, mut steps: &'a [Step]) -> Result<Place<'a>, PathError> {
    let bytes = text.as_bytes();
    let mut start = skip_space(bytes, 0);
    while let Some((step, rest)) = steps.split_first() {
        let at = if bytes[start] == b'{' { member(text, start, step) } else { element(text, start, step)? };
        let is_container = matches!(&at, At::Value { value, .. } if matches!(bytes[value.start], b'{' | b'['));
        match at {
            At::Value { value, .. } if is_container && !rest.is_empty() => (start, steps) = (value.start, rest),
            at => return Ok(Place { at, missing: rest }),
        }
    }
    Err(PathError)
}

/// The last member of an object with a key, or where it would be.
fn member(text: &str, start: usize, step: &Step) -> At {
    let bytes = text.as_bytes();
    let key = match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    };
    let mut found = None;
    let mut at = skip_space(bytes, start + 1);
    let is_first = bytes[at] == b'}';
    while bytes[at] != b'}' {
        let key_end = skip_string(bytes, at);
        let value = skip_space(bytes, skip_space(bytes, key_end) + 1);
        let end = skip_value(bytes, value);
        if is_text(&text[at..key_end], &key) {
            found = Some((at..end, value..end));
        }
        at = skip_space(bytes, end);
        if bytes[at] == b',' {
            at = skip_space(bytes, at + 1);
        }
    }
    match found {
        Some((member, value)) => At::Value { value, member: Some(member) },
        None => At::Member { end: at, is_first, key },
    }
}

/// An element of an array, or where it would be.
fn element(text: &str, start: usize, step: &Step) -> Result<At, PathError> {
    let bytes = text.as_bytes();
    let index = step.index().ok_or(PathError)?;
    let mut length = 0;
    let mut at = skip_space(bytes, start + 1);
    while bytes[at] != b']' {
        let end = skip_value(bytes, at);
        if length == index {
            return Ok(At::Value { value: at..end, member: None });
        }
        length += 1;
        at = skip_space(bytes, end);
        if bytes[at] == b',' {
            at = skip_space(bytes, at + 1);
        }
    }
    if index - length > limits::ARRAY_GAP { Err(PathError) } else { Ok(At::Element { end: at, length, index }) }
}

/// A value inside the containers that the rest of a path asks for.
fn made(steps: &[Step], value: &str) -> Result<String, PathError> {
    let (mut before, mut after) = (String::new(), String::new());
    for step in steps {
        match step {
            Step::Key(key) => {
                before.push_str(&format!("{{{}:", super::write(key.as_str())));
                after.insert(0, '}');
            }
            Step::Index(index) if *index > limits::ARRAY_GAP => return Err(PathError),
            Step::Index(index) => {
                before.push('[');
                before.push_str(&"null,".repeat(*index));
                after.insert(0, ']');
            }
        }
    }
    Ok(before + value + &after)
}

/// Whether a string in quotes is this text.
fn is_text(quoted: &str, text: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    if inner.contains('\\') {
        serde_json::from_str::<String>(quoted).is_ok_and(|unescaped| unescaped == text)
    } else {
        inner == text
    }
}

/// A member with the comma behind it, or else the one before it.
fn with_comma(text: &str, member: Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let next = skip_space(bytes, member.end);
    if bytes[next] == b',' {
        return member.start..skip_space(bytes, next + 1);
    }
    let before = text[..member.start].trim_end_matches(|c: char| c.is_ascii() && is_space(c as u8));
    if before.ends_with(',') { before.len() - 1..member.end } else { member }
}

fn spliced(text: &str, range: Range<usize>, with: &str) -> String {
    [&text[..range.start], with, &text[range.end..]].concat()
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && is_space(bytes[at]) {
        at += 1;
    }
    at
}

/// The end of the string whose opening quote is here.
fn skip_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of the value that starts here.
fn skip_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    loop {
        match bytes[at] {
            b'"' => at = skip_string(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                while at < bytes.len() && !matches!(bytes[at], b',' | b'}' | b']') && !is_space(bytes[at]) {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    #[test]
    fn values_are_set_where_the_path_leads() {
        for (text, at, value, result) in [
            ("{}", "a", "1", r#"{"a":1}"#),
            (r#" { "a" : 1 } "#, "a", "[2]", r#" { "a" : [2] } "#),
            (r#"{"b":{"c":[1,2]},"a":"}"}"#, "b.c[1]", "null", r#"{"b":{"c":[1,null]},"a":"}"}"#),
            (r#"{"a":"\"{"}"#, "b.c[2].d", "0", r#"{"a":"\"{","b":{"c":[null,null,{"d":0}]}}"#),
            ("[]", "[1]", "\"x\"", r#"[null,"x"]"#),
            ("[7]", "[2]", "8", "[7,null,8]"),
            (r#"{"a":5}"#, "a.b", "1", r#"{"a":{"b":1}}"#),
            (r#"{"a":1,"a":2}"#, "a", "3", r#"{"a":1,"a":3}"#),
            (r#"{"\u0061":1}"#, "a", "2", r#"{"\u0061":2}"#),
            (r#"{"0":1}"#, "[0]", "2", r#"{"0":2}"#),
            (r#"[{"x":1}]"#, "0.x", "2", r#"[{"x":2}]"#),
        ] {
            assert_eq!(set(text, &path(at), value).as_deref(), Ok(result), "{text} {at}");
        }
        for (text, at) in [("[]", "a"), ("[1]", "[0].b.[9999]"), ("[]", "[99999]"), ("{}", "a[99999]")] {
            assert!(Path::new(at).is_err() || set(text, &path(at), "1").is_err(), "{text} {at}");
        }
    }

    #[test]
    fn values_are_removed_where_the_path_leads() {
        for (text, at, result) in [
            (r#"{"a":1,"b":2}"#, "a", r#"{"b":2}"#),
            (r#"{"a":1 , "b":2}"#, "b", r#"{"a":1 }"#),
            (r#"{"a":{"b":[1,2]}}"#, "a.b[0]", r#"{"a":{"b":[null,2]}}"#),
            (r#"{ "a" : 1 }"#, "a", "{  }"),
            (r#"{"a":1}"#, "b", r#"{"a":1}"#),
            (r#"{"a":1}"#, "a.b", r#"{"a":1}"#),
            ("[1]", "[5]", "[1]"),
        ] {
            assert_eq!(remove(text, &path(at)).as_deref(), Ok(result), "{text} {at}");
        }
    }

    /// What JavaScript does, as the clients do it.
    fn set_slowly(root: &mut Value, steps: &[Step], value: Option<&Value>) -> Option<()> {
        let (step, rest) = steps.split_first()?;
        if let Value::Array(array) = root {
            let index = step.index()?;
            if index >= array.len() {
                value?;
                array.resize(index + 1, Value::Null);
            }
            return set_child(&mut array[index], rest, value);
        }
        let key = match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        };
        let object = root.as_object_mut()?;
        match (value, rest.is_empty(), object.contains_key(&key)) {
            (None, true, _) => drop(object.remove(&key)),
            (None, _, false) => {}
            _ => return set_child(object.entry(key).or_insert(Value::Null), rest, value),
        }
        Some(())
    }

    fn set_child(child: &mut Value, rest: &[Step], value: Option<&Value>) -> Option<()> {
        match (rest.first(), value) {
            (None, value) => *child = value.cloned().unwrap_or(Value::Null),
            (Some(_), None) if !(child.is_array() || child.is_object()) => {}
            (Some(next), _) => {
                if !(child.is_array() || child.is_object()) {
                    let is_index = matches!(next, Step::Index(_));
                    *child = if is_index { json!([]) } else { Value::Object(Map::new()) };
                }
                return set_slowly(child, rest, value);
            }
        }
        Some(())
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\{}\\[\\],: é\u{1f}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc0]|\"", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn texts_change_as_values_do(
            root in values(),
            steps in "(a|b|c|0|a\\[0\\]|c\\[2\\])(\\.(a|b|c|0|b\\[1\\]\\[0\\]|a\\[2\\])){0,3}",
            value in prop::option::of(values()),
            is_pretty in any::<bool>(),
        ) {
            let mut root = if root.is_object() || root.is_array() { root } else { json!({ "a": root }) };
            let text = if is_pretty { serde_json::to_string_pretty(&root) } else { serde_json::to_string(&root) };
            let (text, at) = (text.unwrap(), path(&steps));
            let changed = match &value {
                Some(value) => set(&text, &at, &value.to_string()),
                None => remove(&text, &at),
            };
            let known = set_slowly(&mut root, at.steps(), value.as_ref());
            match changed {
                Ok(changed) => {
                    let parsed: Value = serde_json::from_str(&changed).unwrap();
                    if known.is_some() {
                        prop_assert_eq!(parsed, root);
                    }
                }
                Err(_) => prop_assert!(known.is_none()),
            }
        }
    }
}
