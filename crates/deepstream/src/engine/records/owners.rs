//! Whose the entries of an ephemeral list are.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{ConnId, list::Counts};

/// For each entry the connections that added it, and how often. Two may have added what is in the list once.
#[derive(Debug, Default)]
pub(super) struct Owners {
    entries: BTreeMap<String, BTreeMap<ConnId, i64>>,
}

impl Owners {
    /// Notes what a connection has changed, in a list that has these entries now. Gives back who has none any more.
    pub(super) fn note(&mut self, conn: ConnId, change: &Counts, now: &Counts) -> BTreeSet<ConnId> {
        let mut lost = BTreeSet::new();
        for (entry, times) in change {
            if !now.contains_key(entry) {
                lost.extend(self.entries.remove(entry).unwrap_or_default().into_keys());
                continue;
            }
            let owners = self.entries.entry(entry.clone()).or_default();
            if *times > 0 {
                *owners.entry(conn).or_default() += times;
                continue;
            }
            // Its own first; then whoever comes first.
            let mut left = -times;
            let order: Vec<ConnId> = owners.keys().copied().collect();
            for owner in std::iter::once(conn).chain(order) {
                let Some(count) = owners.get_mut(&owner) else { continue };
                let taken = left.min(*count);
                left -= taken;
                *count -= taken;
                if *count == 0 {
                    owners.remove(&owner);
                    lost.insert(owner);
                }
            }
            if owners.is_empty() {
                self.entries.remove(entry);
            }
        }
        if !lost.is_empty() {
            let kept = self.conns();
            lost.retain(|conn| !kept.contains(conn));
        }
        lost
    }

    /// A connection is gone. What goes with it from a list that has these entries.
    pub(super) fn leave(&mut self, conn: ConnId, now: &Counts) -> Counts {
        let mut gone = Counts::new();
        self.entries.retain(|entry, owners| {
            if owners.remove(&conn).is_some() {
                let others: i64 = owners.values().sum();
                let left = now.get(entry).unwrap_or(&0) - others;
                if left > 0 {
                    gone.insert(entry.clone(), left);
                }
            }
            !owners.is_empty()
        });
        gone
    }

    /// The list is another, or none any more. Gives back who had entries in it.
    pub(super) fn clear(&mut self) -> BTreeSet<ConnId> {
        let conns = self.conns();
        self.entries.clear();
        conns
    }

    pub(super) fn has_any(&self, conn: ConnId) -> bool {
        self.entries.values().any(|owners| owners.contains_key(&conn))
    }

    pub(super) fn conns(&self) -> BTreeSet<ConnId> {
        self.entries.values().flat_map(|owners| owners.keys().copied()).collect()
    }

    #[cfg(test)]
    pub(super) fn check(&self, now: &Counts) {
        for (entry, owners) in &self.entries {
            assert!(now.contains_key(entry), "{entry} is owned and not there");
            assert!(!owners.is_empty() && owners.values().all(|times| *times > 0));
        }
        assert!(now.keys().all(|entry| self.entries.contains_key(entry)), "an entry is nobody's: {now:?} {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, i64)]) -> Counts {
        pairs.iter().map(|(entry, times)| ((*entry).to_owned(), *times)).collect()
    }

    #[test]
    fn an_entry_stays_as_long_as_one_of_those_who_added_it() {
        let mut owners = Owners::default();
        owners.note(ConnId(1), &counts(&[("a", 1), ("b", 1)]), &counts(&[("a", 1), ("b", 1)]));
        // Added a second time, at the same time, so that it is there once.
        owners.note(ConnId(2), &counts(&[("a", 1)]), &counts(&[("a", 1), ("b", 1)]));
        assert_eq!(owners.leave(ConnId(1), &counts(&[("a", 1), ("b", 1)])), counts(&[("b", 1)]));
        assert_eq!(owners.leave(ConnId(2), &counts(&[("a", 1)])), counts(&[("a", 1)]));
        assert!(owners.conns().is_empty());
    }

    #[test]
    fn what_is_removed_is_nobodys() {
        let mut owners = Owners::default();
        owners.note(ConnId(1), &counts(&[("a", 2)]), &counts(&[("a", 2)]));
        owners.note(ConnId(2), &counts(&[("a", 1)]), &counts(&[("a", 3)]));
        owners.note(ConnId(2), &counts(&[("a", -2)]), &counts(&[("a", 1)]));
        assert!(!owners.has_any(ConnId(2)) && owners.has_any(ConnId(1)));
        owners.note(ConnId(3), &counts(&[("a", -1)]), &counts(&[]));
        assert!(owners.conns().is_empty());
    }
}
