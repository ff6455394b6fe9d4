//! What a room's members share: the room's state, and each member's attributes.

use std::collections::BTreeMap;

use crate::{
    limits,
    time::Time,
    wire::{
        frame::NUMBER_MAX,
        signal::{Attributes, Json, StateEntry},
    },
};

/// Why a write was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum WriteError {
    #[error("a state entry's key has 1 to {} bytes", limits::STATE_KEY_MAX)]
    Key,
    #[error("a state entry's value has at most {} bytes of JSON", limits::STATE_VALUE_MAX)]
    Value,
    #[error("a state entry's value is nested at most {} deep", limits::VALUE_DEPTH)]
    Depth,
    #[error(
        "a state entry's value is JSON that every language reads: no half of a surrogate pair, no number beyond 1.8e308"
    )]
    Unreadable,
    #[error("a room's state has at most {} entries and {} bytes", limits::STATE_ENTRIES, limits::STATE_BYTES)]
    Full,
}

/// A room's shared state, with the removals that returning members may still have to be told of.
#[derive(Debug, Default)]
pub(super) struct SharedState {
    entries: BTreeMap<String, StateEntry>,
    /// Of all keys and values.
    bytes: usize,
    last_version: u64,
}

impl SharedState {
    /// All entries, removals included.
    pub(super) fn entries(&self) -> &BTreeMap<String, StateEntry> {
        &self.entries
    }

    /// Sets an entry, or removes it where the value is null. Gives its version, which is above all earlier ones.
    pub(super) fn write(&mut self, now: Time, key: &str, value: Json) -> Result<u64, WriteError> {
        self.check(key, &value)?;
        self.last_version = (self.last_version + 1).max(now.0);
        self.insert(key, StateEntry { value, version: self.last_version });
        Ok(self.last_version)
    }

    /// Takes over what a member knew from another hub, where that is newer. Gives the keys that changed. Entries
    /// beyond the bounds are left out: an honest member has none.
    pub(super) fn merge(&mut self, now: Time, entries: BTreeMap<String, StateEntry>) -> Vec<String> {
        let newest = (now + limits::STATE_AHEAD_MAX).0.min(NUMBER_MAX);
        let mut changed = Vec::new();
        for (key, entry) in entries {
            let known = self.entries.get(&key).map_or(0, |known| known.version);
            let credible = known < entry.version && entry.version <= newest;
            if credible && self.check(&key, &entry.value).is_ok() {
                self.last_version = self.last_version.max(entry.version);
                self.insert(&key, entry);
                changed.push(key);
            }
        }
        changed.retain(|key| self.entries.contains_key(key));
        changed
    }

    /// Whether an entry may stand beside the others. A removal always may.
    fn check(&self, key: &str, value: &Json) -> Result<(), WriteError> {
        if key.is_empty() || key.len() > limits::STATE_KEY_MAX {
            return Err(WriteError::Key);
        }
        if value.as_str().len() > limits::STATE_VALUE_MAX {
            return Err(WriteError::Value);
        }
        if depth(value.as_str()) > limits::VALUE_DEPTH {
            return Err(WriteError::Depth);
        }
        // The syntax of JSON allows more than languages can hold (RFC 8259, 6 and 8.2): what one member cannot read it would
        // say again as something else.
        if serde_json::from_str::<serde_json::Value>(value.as_str()).is_err() {
            return Err(WriteError::Unreadable);
        }
        if value.is_null() || self.fits(key, value) {
            return Ok(());
        }
        // Removals make way.
        let standing = self.entries.iter().filter(|(other, entry)| *other != key && !entry.value.is_null());
        let (count, bytes) =
            standing.fold((1, size(key, value)), |(n, bytes), (key, entry)| (n + 1, bytes + size(key, &entry.value)));
        if count > limits::STATE_ENTRIES || bytes > limits::STATE_BYTES {
            return Err(WriteError::Full);
        }
        Ok(())
    }

    fn fits(&self, key: &str, value: &Json) -> bool {
        let old = self.entries.get(key);
        let count = self.entries.len() + usize::from(old.is_none());
        let bytes = self.bytes + size(key, value) - old.map_or(0, |old| size(key, &old.value));
        count <= limits::STATE_ENTRIES && bytes <= limits::STATE_BYTES
    }

    /// Inserts an entry that was checked, and drops the oldest removals where that leads beyond the bounds.
    fn insert(&mut self, key: &str, entry: StateEntry) {
        self.bytes += size(key, &entry.value);
        if let Some(old) = self.entries.insert(key.to_owned(), entry) {
            self.bytes -= size(key, &old.value);
        }
        while self.entries.len() > limits::STATE_ENTRIES || self.bytes > limits::STATE_BYTES {
            let removals = self.entries.iter().filter(|(_, entry)| entry.value.is_null());
            let Some(oldest) = removals.min_by_key(|(_, entry)| entry.version).map(|(key, _)| key.clone()) else {
                break;
            };
            if let Some(dropped) = self.entries.remove(&oldest) {
                self.bytes -= size(&oldest, &dropped.value);
            }
        }
    }
}

fn size(key: &str, value: &Json) -> usize {
    key.len() + value.as_str().len()
}

/// How deep the arrays and objects of a JSON text are nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether a member may have these attributes.
pub(super) fn attributes_fit(attributes: &Attributes) -> bool {
    let bytes: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    attributes.len() <= limits::ATTRIBUTES_MAX && bytes <= limits::ATTRIBUTES_BYTES && !attributes.contains_key("")
}

/// The attributes after a change; `None` removes.
pub(super) fn changed_attributes(attributes: &Attributes, set: BTreeMap<String, Option<String>>) -> Attributes {
    let mut attributes = attributes.clone();
    for (key, value) in set {
        match value {
            Some(value) => attributes.insert(key, value),
            None => attributes.remove(&key),
        };
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Micros;

    const NOW: Time = Time(1_700_000_000_000_000);

    fn json(text: &str) -> Json {
        Json::parse(text).expect("a test's own JSON")
    }

    fn entry(text: &str, version: u64) -> StateEntry {
        StateEntry { value: json(text), version }
    }

    #[test]
    fn versions_rise_even_where_the_clock_does_not() {
        let mut state = SharedState::default();
        let versions: Vec<_> =
            [NOW, NOW, Time(5), NOW + Micros(9)].map(|now| state.write(now, "k", json("1")).expect("fits")).into();
        assert_eq!(versions, [NOW.0, NOW.0 + 1, NOW.0 + 2, NOW.0 + 9]);
    }

    #[test]
    fn oldest_removals_make_way_for_entries() {
        let mut state = SharedState::default();
        for n in 0..limits::STATE_ENTRIES {
            state.write(NOW, &format!("k{n}"), Json::null()).expect("a removal fits");
        }
        state.write(NOW, "new", json("1")).expect("a removal makes way");
        assert_eq!(state.entries().len(), limits::STATE_ENTRIES);
        assert!(!state.entries().contains_key("k0") && state.entries().contains_key("k1"));
    }

    #[test]
    fn standing_entries_do_not_make_way() {
        let mut state = SharedState::default();
        for n in 0..limits::STATE_ENTRIES {
            state.write(NOW, &format!("k{n}"), json("1")).expect("fits");
        }
        assert_eq!(state.write(NOW, "new", json("1")), Err(WriteError::Full));
        state.write(NOW, "k0", json("2")).expect("replacing fits");
        state.write(NOW, "absent", Json::null()).expect("a removal is always taken");
        assert_eq!(state.entries().len(), limits::STATE_ENTRIES);
        let big = json(&format!("\"{}\"", "x".repeat(limits::STATE_VALUE_MAX - 2)));
        state.write(NOW, "k1", big.clone()).expect("fits");
        assert_eq!(state.write(NOW, "k2", big), Err(WriteError::Full));
    }

    #[test]
    fn keys_values_and_nesting_are_bounded() {
        let mut state = SharedState::default();
        assert_eq!(state.write(NOW, "", json("1")), Err(WriteError::Key));
        assert_eq!(state.write(NOW, &"k".repeat(limits::STATE_KEY_MAX + 1), json("1")), Err(WriteError::Key));
        let long = json(&format!("\"{}\"", "x".repeat(limits::STATE_VALUE_MAX - 1)));
        assert_eq!(state.write(NOW, "k", long), Err(WriteError::Value));
        let deep = format!("{}{}", "[".repeat(limits::VALUE_DEPTH + 1), "]".repeat(limits::VALUE_DEPTH + 1));
        assert_eq!(state.write(NOW, "k", json(&deep)), Err(WriteError::Depth));
        state.write(NOW, "k", json(r#""[[[[\"[{{{""#)).expect("brackets in texts do not nest");
    }

    #[test]
    fn merging_takes_what_is_newer_and_credible() {
        let mut state = SharedState::default();
        let mine = state.write(NOW, "both", json("1")).expect("fits");
        let theirs = BTreeMap::from([
            ("both".to_owned(), entry("2", mine)),
            ("new".to_owned(), entry("3", mine + 5)),
            ("gone".to_owned(), entry("null", 7)),
            ("future".to_owned(), entry("4", NOW.0 + limits::STATE_AHEAD_MAX.0 + 1)),
            ("zero".to_owned(), entry("5", 0)),
        ]);
        assert_eq!(state.merge(NOW, theirs), ["gone", "new"]);
        assert_eq!(state.entries()["both"], entry("1", mine));
        assert_eq!(state.write(NOW, "k", json("1")), Ok(mine + 6));
    }
}
